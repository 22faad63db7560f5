"""NXSPE: one run of a direct-geometry spectrometer, spectra over energy transfer, to |Q|–E or h–k–E.

Each bin of each spectrum goes into the bin of Q in which its centre lies, with Q = ki − kf from the incident
energy and the detector's angles. Intensities of one bin are averaged with equal weights, variances with the
squares of these; a bin of 0 ± 0 has no counts (:mod:`mantid_exp2sim.histogram.uncertainty`). No bin gets
anything that was not measured in it: bins without a detector are masked.
Data that still hold kf/ki (``ki_over_kf_scaling`` 0) are multiplied by ki/kf.

Frame, as of the instruments of this package: x along the beam, y horizontal, z up, and for h–k–E c ∥ ki,
a ∥ y and b ∥ z. `polar` is the angle to the beam and `azimuthal` that about it from y towards z, both in
degrees.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Booleans, Floats, Histogram
from mantid_exp2sim.histogram.uncertainty import find_spoiling
from mantid_exp2sim.io.arrays import drop_ones
from mantid_exp2sim.io.axes import edges_of, energy_axis, modulus_axis, momentum_axis
from mantid_exp2sim.io.files import damaged, reading
from mantid_exp2sim.io.hdf5 import read_tree
from mantid_exp2sim.io.limits import Budget, packed_budget
from mantid_exp2sim.nexus import NexusTree
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2

OLD_GAP = -1e29
"""Below this lies −1e30, which old files store for masked spectra."""
MAX_BINS = 2000
RING = 30.0
"""Azimuthal width of a detector in degrees above which it is a ring."""
MAX_PSI = 0.1
"""Angle of the crystal in degrees up to which c counts as along the beam."""
STEP = 2 / 39
"""Width of the bins in h and k (r.l.u.): that of the shipped models."""
_METADATA = {
    "psi": ("NXSPE_info/psi",),
    "ki_over_kf_scaling": ("NXSPE_info/ki_over_kf_scaling",),
    "chopper_frequency": ("instrument/fermi/frequency", "instrument/fermi/rotation_speed"),
}


class Run(NamedTuple):
    """A file's content: values (detectors, energies), energies (edges, Ei) in meV, angles in radians."""

    signal: Floats
    variance: Floats
    mask: Booleans
    energy: Floats
    polar: Floats
    azimuthal: Floats
    incident_energy: float
    metadata: dict[str, Any]
    is_rings: bool


def read(path: Path, *, lattice: tuple[float, float] | None = None) -> Histogram:
    """Read an NXSPE file; its bins are 2/39 wide in h and k, and in |Q| twice as wide as detectors lie apart.

    Parameters
    ----------
    path
        The file.
    lattice
        Lattice constants a and b in Å, for h–k–E with c ∥ ki; without them |Q|–E.

    Returns
    -------
    Histogram
        Axes (|Q|, DeltaE) or ([H,0,0], [0,K,0], DeltaE), in the file's unit of intensity; the metadata hold
        ``incident_energy`` (meV) and, where known, ``instrument``, ``psi`` (degrees) and
        ``chopper_frequency`` (Hz).

    Raises
    ------
    Exp2SimError
        If the file is damaged or incomplete.
    """
    with reading(path, ValueError, OverflowError):
        budget = packed_budget(path)
        run = _run(_entry(read_tree(path, budget)[0]))
        momentum = momentum_transfer(run, lattice)
        axes = _axes(run, lattice, momentum)
        return _rebinned(run, momentum, axes, budget)


def _entry(tree: NexusTree) -> NexusTree:
    for node in tree.children.values():
        if isinstance(node, NexusTree):
            definition = node.value("definition")
            if definition is not None and definition.text().strip() == "NXSPE":
                return node
    raise damaged("No entry is defined as NXSPE.")


def _run(entry: NexusTree) -> Run:
    energy, polar, azimuthal = (_vector(entry, f"data/{name}") for name in ("energy", "polar", "azimuthal"))
    signal, error = (_spectra(entry, f"data/{name}", polar.size) for name in ("data", "error"))
    if signal.ndim == 2 and energy.size == signal.shape[1]:
        energy = edges_of(energy)
    if (
        signal.ndim != 2
        or error.shape != signal.shape
        or {polar.shape, azimuthal.shape} != {signal.shape[:1]}
    ):
        raise damaged(
            f"The data are of shape {signal.shape}, the errors of {error.shape}, the angles of {polar.shape} "
            f"and {azimuthal.shape}.",
            reason="They are to be of (detectors, energies) and (detectors,).",
        )
    if energy.size != signal.shape[1] + 1 or not np.all(np.diff(energy) > 0):
        raise damaged(f"The {energy.size} energies are no edges of {signal.shape[1]} bins.")
    with np.errstate(invalid="ignore", over="ignore"):
        variance = error**2
        mask = ~np.isfinite(signal) | ~np.isfinite(variance) | (signal < OLD_GAP)
    incident = _first(entry, "NXSPE_info/fixed_energy", "instrument/fermi/energy")
    if incident is None or incident <= 0:
        raise Exp2SimError(
            "The file has no incident energy.",
            reason="NXSPE_info/fixed_energy is to be above 0.",
            fix="Write it anew with the incident energy: SaveNXSPE takes it from the workspace's log Ei.",
        )
    numbers = {key: _first(entry, *paths) for key, paths in _METADATA.items()}
    if numbers["ki_over_kf_scaling"] == 0:  # the data still hold kf/ki
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.sqrt(incident / (incident - 0.5 * (energy[:-1] + energy[1:])))
            signal, variance = signal * ratio, variance * ratio**2
        mask |= ~np.isfinite(signal) | ~np.isfinite(variance)
        numbers["ki_over_kf_scaling"] = 1.0
    metadata: dict[str, Any] = {"format": "nxspe", "incident_energy": incident}
    if (name := entry.value("instrument/name")) is not None and name.text().strip():
        metadata["instrument"] = name.text().strip()
    metadata |= {key: number for key, number in numbers.items() if number is not None}
    width = entry.value("data/azimuthal_width")
    is_rings = width is not None and width.data.dtype.kind in "iuf" and bool(np.any(width.data > RING))
    angles = np.radians(polar), np.radians(azimuthal)
    return Run(signal, variance, mask, energy, *angles, incident, metadata, is_rings)


def _vector(entry: NexusTree, path: str) -> Floats:
    values = _array(entry, path)
    if len(drop_ones(values.shape)) > 1:
        raise damaged(f"{path} is of shape {values.shape}, not a list of numbers.")
    return values.reshape(-1)


def _spectra(entry: NexusTree, path: str, count: int) -> Floats:
    """Return an array (detectors, energies), also where a program dropped or added dimensions of length 1."""
    values = _array(entry, path)
    shape = (count, values.size // count)
    return values.reshape(shape) if drop_ones(values.shape) == drop_ones(shape) else values


def _array(entry: NexusTree, path: str) -> Floats:
    value = entry.value(path)
    if value is None or value.data.dtype.kind not in "iuf" or not value.data.size:
        raise damaged(f"{path} is missing or not an array of numbers.")
    return value.data.astype(np.float64)


def _first(entry: NexusTree, *paths: str) -> float | None:
    """The first finite number that lies at one of the paths."""
    numbers = (entry.number(path) for path in paths)
    return next((number for number in numbers if number is not None and math.isfinite(number)), None)


# -------------------------------------------------------------------------------------------------- Q


def momentum_transfer(run: Run, lattice: tuple[float, float] | None) -> list[Floats]:
    """Coordinates of every bin of every spectrum, (detectors, energies): |Q|, or h and k; NaN beyond Ei."""
    centres = 0.5 * (run.energy[:-1] + run.energy[1:])
    ki = math.sqrt(run.incident_energy / ENERGY_PER_K2)
    with np.errstate(invalid="ignore"):
        kf = np.sqrt((run.incident_energy - centres) / ENERGY_PER_K2)[None, :]
    polar, azimuthal = run.polar[:, None], run.azimuthal[:, None]
    if lattice is None:
        with np.errstate(over="ignore"):
            return [np.sqrt(np.maximum(ki**2 + kf**2 - 2 * ki * kf * np.cos(polar), 0.0))]
    if len(lattice) != 2 or not all(math.isfinite(x) and x > 0 for x in lattice):
        raise Exp2SimError(f"The lattice is {lattice}.", fix="Give a and b in Å, both above 0.")
    _require_crystal(run)
    across = -kf * np.sin(polar)
    parts = (across * np.cos(azimuthal), across * np.sin(azimuthal))
    return [part * constant / (2 * np.pi) for part, constant in zip(parts, lattice, strict=True)]


def _require_crystal(run: Run) -> None:
    """Refuse what is no crystal with c along the beam: rings of detectors, or a crystal that is turned."""
    if run.is_rings:
        raise Exp2SimError(
            "The detectors are grouped into rings.",
            reason="Rings average over directions: there is no h and k in them.",
            fix="Leave the lattice out (|Q|-E), or write the run again without grouping its detectors.",
        )
    psi = run.metadata.get("psi", 0.0)
    if abs(psi) > MAX_PSI:
        raise Exp2SimError(
            f"The crystal is turned by psi = {psi:g} degrees.",
            reason="h and k are read with c along the beam, at psi = 0.",
            fix="Make the volume of all runs with Horace, or with ConvertToMD and BinMD in Mantid.",
        )


def _axes(run: Run, lattice: tuple[float, float] | None, momentum: list[Floats]) -> tuple[Axis, ...]:
    measured = [values[np.isfinite(values) & ~run.mask] for values in momentum]
    if any(not values.size for values in measured):
        raise Exp2SimError(
            "No spectrum has a measured bin below the incident energy.",
            fix="Look at the file: its masks, its energies and its incident energy.",
        )
    if lattice is None:
        return modulus_axis(_modulus_edges(run, measured[0])), energy_axis(run.energy)
    h, k = (_plane_edges(values) for values in measured)
    return momentum_axis((1, 0, 0), h), momentum_axis((0, 1, 0), k), energy_axis(run.energy)


def _modulus_edges(run: Run, values: Floats) -> Floats:
    """From 0 outwards, twice as wide as the detectors lie apart, at most `MAX_BINS`."""
    ki = math.sqrt(run.incident_energy / ENERGY_PER_K2)
    angles = np.unique(np.round(run.polar[np.isfinite(run.polar)], 6))
    gap = float(np.median(np.diff(angles))) if angles.size > 1 else 0.01
    highest = float(np.max(values))
    step = max(2 * ki * gap, highest / MAX_BINS, 1e-6)
    low = math.floor(float(np.min(values)) / step)
    return np.asarray(step * np.arange(low, math.floor(highest / step) + 2), dtype=np.float64)


def _plane_edges(values: Floats) -> Floats:
    """Bins of the models, with an edge at 0, as far out as there are data."""
    reach = float(np.max(np.abs(values)))
    count = math.ceil(min(reach / STEP, MAX_BINS / 2)) if reach > STEP else 1
    return np.asarray(STEP * np.arange(-count, count + 1), dtype=np.float64)


def _rebinned(run: Run, momentum: list[Floats], axes: tuple[Axis, ...], budget: Budget) -> Histogram:
    shape = tuple(axis.size for axis in axes)
    size = math.prod(shape)
    budget.take(48 * size + 32 * run.signal.size, f"A histogram of shape {shape}")
    inside = ~run.mask
    places = []
    for values, axis in zip(momentum, axes, strict=False):
        place = np.searchsorted(axis.edges, values, side="right") - 1
        inside &= (place >= 0) & (place < axis.size) & np.isfinite(values)
        places.append(place)
    places.append(np.broadcast_to(np.arange(run.signal.shape[1]), run.signal.shape))
    flat = np.ravel_multi_index([place[inside] for place in places], shape)
    count = np.bincount(flat, minlength=size)
    sums = [np.bincount(flat, weights=a[inside], minlength=size) for a in (run.signal, run.variance)]
    empty = count == 0
    weight = np.where(empty, 1, count)
    with np.errstate(over="ignore"):
        intensity, variance = sums[0] / weight, sums[1] / weight**2
    spoiling = find_spoiling(run.signal, run.variance, run.mask) & inside
    if spoiling.any():
        parts = np.bincount(flat, weights=spoiling[inside], minlength=size)
        variance = np.where(parts > 0, 0.0, variance)
    mask = empty | ~np.isfinite(intensity) | ~np.isfinite(variance)
    return Histogram(
        intensity.reshape(shape), variance.reshape(shape), mask.reshape(shape), axes, run.metadata
    )
