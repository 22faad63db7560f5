"""SpinW's results in MATLAB files: what ``spinwave`` and ``sw_egrid`` return, versions 5 and 7.3.

A result of ``sw_egrid`` (or ``powspec``) is taken as it is: ``swConv`` over ``Evect``. One of ``spinwave``
has lines instead of bins; they are summed into bins as ``sw_egrid`` does by default: the part of the
correlations across Q, 500 bins up to 1.1 times the highest mode, at zero temperature, twins by volume. Modes
below 5e-4 meV or stronger than 1e6 are rounding on a Bragg point and left out; a point with an imaginary
mode is unknown.

Points in reciprocal space that form a product grid become its axes, in the order h, k, l; others become one
axis of point numbers, with the points in the metadata. The variance is 0: a calculation has none. The
field ``obj`` is a MATLAB object and is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.io.axes import edges_of, energy_axis, modulus_axis
from mantid_exp2sim.io.files import reading
from mantid_exp2sim.io.grids import Grid, find_grid
from mantid_exp2sim.io.limits import Budget, packed_budget
from mantid_exp2sim.io.matlab import SPINW_EXPORT, fix, read_variables, structs
from mantid_exp2sim.io.matlab.values import Cell

BINS = 500
LOWEST_MODE = 5e-4
"""Energy in meV below which a mode is no excitation, as in ``sw_egrid``."""
HIGHEST_STRENGTH = 1e6
"""Strength above which a mode is rounding on a Bragg point, as in ``sw_egrid``."""
IMAGINARY = 1e-3
"""Imaginary part of an energy in meV above which the structure is not stable at that point."""
MAX_POINTS_KEPT = 10_000
_TEST_FIELDS = ("omega", "Sab", "swConv", "swInt")


def read(path: Path, *, is_hdf5: bool = False) -> Histogram:
    """Read a result of SpinW, or an image of Horace that was saved as numbers.

    Parameters
    ----------
    path
        The file.
    is_hdf5
        Whether it is of version 7.3.

    Returns
    -------
    Histogram
        Axes in reciprocal lattice units (or |Q| in Å⁻¹, or point numbers) and the energy in meV.

    Raises
    ------
    Exp2SimError
        If the file is damaged, or holds no such result, or several.
    """
    variables = read_variables(path, is_hdf5=is_hdf5)
    with reading(path, ValueError, IndexError, np.linalg.LinAlgError, OverflowError):
        return from_variables(variables, budget=packed_budget(path))


def from_variables(variables: dict[str, Any], *, budget: Budget | None = None) -> Histogram:
    """Make a histogram of the variables of a MATLAB file; `budget` bounds the memory that it takes.

    Examples
    --------
    >>> result = {"hkl": np.array([[0.0, 0.5, 1.0], [0, 0, 0], [0, 0, 0]]),
    ...           "swConv": np.ones((2, 3)), "Evect": np.array([0.0, 1.0, 2.0])}
    >>> h = from_variables({"spec": result})
    >>> [axis.name for axis in h.axes], h.shape
    (['[H,0,0]', 'DeltaE'], (3, 2))
    """
    choice = _choose(variables)
    if choice is None:
        from mantid_exp2sim.io.horace.struct import find

        image = find(variables)
        if image is not None:
            return image
        reason, line = fix(variables)
        raise Exp2SimError("The MATLAB file holds no spectrum.", reason=reason, fix=line)
    name, spectrum = choice
    metadata: dict[str, Any] = {"format": "spinw"}
    if name:
        metadata["variable"] = name
    if "swConv" in spectrum:
        return _binned(spectrum, metadata)
    return _lines(spectrum, metadata, budget or Budget())


def _choose(variables: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The one result in a file; one of ``sw_egrid`` goes before one of ``spinwave``."""
    named = [(name, _named(struct)) for name, struct in structs(variables)]
    binned = [(name, struct) for name, struct in named if "swConv" in struct]
    lines = [(name, s) for name, s in named if "omega" in s and ("Sperp" in s or "Sab" in s) and "hkl" in s]
    spectra = binned or lines
    if len(spectra) > 1:
        names = ", ".join(name or "the variables themselves" for name, _ in spectra[:6])
        raise Exp2SimError(
            f"The file holds {len(spectra)} spectra: {names}.",
            reason="One is taken from a file.",
            fix=f"In MATLAB: save('spec.mat', '{spectra[0][0].split('.')[0] or 'spec'}').",
        )
    return spectra[0] if spectra else None


def _named(struct: dict[str, Any]) -> dict[str, Any]:
    """SpinW's own test files keep the fields of a result as a cell without names."""
    spec = struct.get("spec")
    if isinstance(spec, Cell) and len(spec.items) == len(_TEST_FIELDS):
        return {**dict(zip(_TEST_FIELDS, spec.items, strict=True)), "obj": struct.get("input")}
    return struct


# ---------------------------------------------------------------------------------------------- sw_egrid


def _binned(spectrum: dict[str, Any], metadata: dict[str, Any]) -> Histogram:
    values = _summed(spectrum, "swConv", metadata)
    if values.ndim < 2 or values.size == 0:
        raise _wrong(f"swConv is of shape {values.shape}, not (energies, points).")
    values = _points_last(values, 1)
    if isinstance(spectrum.get("component"), str):
        metadata["component"] = spectrum["component"]
    edges = _evect(spectrum, values.shape[0])
    if edges is None:
        metadata.setdefault("left_out", []).append("energies: the file has no Evect")
        last = Axis("energy bin", np.arange(values.shape[0] + 1) + 0.5)
    else:
        last = energy_axis(edges)
    return _histogram(spectrum, values.T, last, metadata)


def _evect(spectrum: dict[str, Any], size: int) -> Floats | None:
    if "Evect" not in spectrum:
        return None
    edges = _array(spectrum, "Evect").real.reshape(-1)
    if edges.size == size:  # the centres, as old versions of SpinW keep them
        return edges_of(edges)
    if edges.size != size + 1:
        raise _wrong(f"Evect has {edges.size} numbers and swConv {size} energies.")
    return edges


def _summed(spectrum: dict[str, Any], key: str, metadata: dict[str, Any]) -> Floats:
    """A field as real numbers, summed over the twins by their volume; the first of several components."""
    value = spectrum[key]
    if not isinstance(value, Cell):
        return _array(spectrum, key).real.astype(np.float64)
    omega = spectrum.get("omega")
    twins = len(omega.items) if isinstance(omega, Cell) else 1
    count = len(value.items)
    if count == 0 or count % twins:
        raise _wrong(f"{key} has {count} parts and there are {twins} twins.")
    components = count // twins
    first_is_twin = value.shape[0] == twins and components > 1
    parts = value.items[:twins] if first_is_twin else value.items[::components]
    if components > 1:
        names = spectrum.get("component")
        component = names.items[0] if isinstance(names, Cell) and names.items else None
        metadata["component"] = component if isinstance(component, str) else "the first"
    arrays = [_array({key: part}, key).real for part in parts]
    if len({array.shape for array in arrays}) != 1:
        raise _wrong(f"The twins in {key} are of different shapes.")
    weights = _volumes(spectrum, twins, metadata)
    return np.asarray(sum(w * array for w, array in zip(weights, arrays, strict=True)), dtype=np.float64)


def _volumes(spectrum: dict[str, Any], twins: int, metadata: dict[str, Any]) -> Floats:
    """Volumes of the twins as parts of 1; equal, and said so, where the file does not tell them."""
    volumes = _told_volumes(spectrum, twins)
    if twins > 1:
        metadata["twins"] = np.full(twins, 1 / twins).tolist() if volumes is None else volumes.tolist()
        if volumes is None:
            note = "volumes of the twins: equal ones are assumed"
            metadata["left_out"] = [*metadata.get("left_out", []), note]
    return np.full(twins, 1 / twins) if volumes is None else volumes


def _told_volumes(spectrum: dict[str, Any], twins: int) -> Floats | None:
    node: Any = spectrum.get("obj")
    for key in ("twin", "vol"):
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, np.ndarray) and node.dtype.kind in "iuf" and node.size == twins:
        volumes = node.astype(np.float64).reshape(-1)
        if np.all(np.isfinite(volumes)) and np.all(volumes >= 0) and volumes.sum() > 0:
            return np.asarray(volumes / volumes.sum())
    return None


def _array(spectrum: dict[str, Any], key: str) -> npt.NDArray[Any]:
    value = spectrum.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufc":
        raise _wrong(f"{key} is missing or holds no numbers.")
    return value.astype(np.float64) if value.dtype.kind in "biu" else value


def _points_last(values: npt.NDArray[Any], lead: int) -> npt.NDArray[Any]:
    """Lay out a grid of points (…, n1, n2, n3) as a list, after `lead` other axes; the first runs fastest."""
    return values.reshape(*values.shape[:lead], -1, order="F") if values.size else values


def _wrong(summary: str) -> Exp2SimError:
    return Exp2SimError(summary, fix=f"Calculate and save it again. {SPINW_EXPORT}")


# ---------------------------------------------------------------------------------------------- spinwave


def _lines(spectrum: dict[str, Any], metadata: dict[str, Any], budget: Budget) -> Histogram:
    omegas, strengths = _modes(spectrum)
    finite = np.concatenate([omega[np.isfinite(omega)] for omega in omegas])
    highest = float(np.max(finite, initial=0.0))
    if not highest > 0:
        raise Exp2SimError(
            "No mode has a positive energy.",
            reason="There is nothing to put into bins.",
            fix="Check the exchange constants and the magnetic structure of the calculation.",
        )
    metadata["energy_bins"] = "500 up to 1.1 times the highest mode"
    last = energy_axis(np.linspace(0, 1.1, BINS + 1) * highest)
    count = omegas[0].shape[1]
    budget.take(24 * count * last.size, f"A spectrum of {count} points and {last.size} energies")
    weights = _volumes(spectrum, len(omegas), metadata)
    values = np.zeros((count, last.size))
    for omega, strength, weight in zip(omegas, strengths, weights, strict=True):
        values += weight * _fill(omega, strength, last.edges)
    return _histogram(spectrum, values, last, metadata)


def _modes(spectrum: dict[str, Any]) -> tuple[list[Floats], list[Floats]]:
    """Energies and strengths (modes, points) of each twin."""
    twins = [_parts(spectrum, key) for key in ("omega", "Sperp" if "Sperp" in spectrum else "Sab")]
    if len(twins[0]) != len(twins[1]) or not twins[0]:
        raise _wrong(f"There are {len(twins[0])} twins in omega and {len(twins[1])} beside it.")
    omegas, strengths = [], []
    for omega, values in zip(*twins, strict=True):
        energy = np.where(np.abs(omega.imag) > IMAGINARY, np.nan, omega.real)
        energy = _points_last(np.atleast_2d(energy), 1)
        is_summed = "Sperp" in spectrum
        strength = _points_last(np.atleast_2d(values.real), 1) if is_summed else _across(spectrum, values)
        if energy.ndim != 2 or strength.shape != energy.shape or energy.size == 0:
            raise _wrong(f"omega is of shape {energy.shape} and the strengths of {strength.shape}.")
        omegas.append(energy)
        strengths.append(strength)
    if len({omega.shape[1] for omega in omegas}) != 1:
        raise _wrong("The twins have different numbers of points.")
    return omegas, strengths


def _parts(spectrum: dict[str, Any], key: str) -> list[npt.NDArray[Any]]:
    value = spectrum[key]
    return (
        [_array({key: v}, key) for v in value.items] if isinstance(value, Cell) else [_array(spectrum, key)]
    )


def _across(spectrum: dict[str, Any], correlations: npt.NDArray[Any]) -> Floats:
    """Σ (δ_ab − q_a q_b) S_ab, (modes, points); SpinW has turned each twin's S into the common frame.

    At Q = 0 the direction is that of the next point, as in SpinW.
    """
    momenta = _points_last(_array(spectrum, "hklA").real, 1) if "hklA" in spectrum else np.zeros((0, 0))
    correlations = _points_last(correlations, 3)
    if (
        correlations.ndim != 4
        or correlations.shape[:2] != (3, 3)
        or momenta.shape != (3, correlations.shape[3])
    ):
        raise Exp2SimError(
            f"Sab is of shape {correlations.shape} and hklA of {momenta.shape}.",
            reason="It takes (3, 3, modes, points) and (3, points).",
            fix="In MATLAB: spec = sw_egrid(sw_neutron(spec)).",
        )
    lengths = np.linalg.norm(momenta, axis=0)
    units = momenta / np.where(lengths > 0, lengths, 1)
    for i in np.flatnonzero(lengths == 0):
        units[:, i] = units[:, i + 1] if i + 1 < units.shape[1] and lengths[i + 1] > 0 else (1, 0, 0)
    factor = np.eye(3)[:, :, None] - units[:, None] * units[None, :]
    return np.asarray(np.einsum("abq,abmq->mq", factor, correlations.real), dtype=np.float64)


def _fill(omega: Floats, strength: Floats, edges: Floats) -> Floats:
    """Sum the modes into energy bins, (points, bins); a mode without a number makes its point unknown."""
    bins = edges.size - 1
    place = np.searchsorted(edges, omega, side="right") - 1
    place = np.where(omega == edges[-1], bins - 1, place)
    inside = (place >= 0) & (place < bins) & (omega >= LOWEST_MODE) & (np.abs(strength) <= HIGHEST_STRENGTH)
    points = np.broadcast_to(np.arange(omega.shape[1]), omega.shape)
    flat = points[inside] * bins + place[inside]
    sums = np.bincount(flat, weights=strength[inside], minlength=omega.shape[1] * bins)
    values = sums.astype(np.float64).reshape(-1, bins)
    values[np.any(~np.isfinite(omega), axis=0)] = np.nan
    return values


# ------------------------------------------------------------------------------------------------ points


def _histogram(spectrum: dict[str, Any], values: Floats, last: Axis, metadata: dict[str, Any]) -> Histogram:
    """A histogram of values (points, energies)."""
    grid = _grid(spectrum, len(values), metadata)
    ordered = np.empty_like(values)
    ordered[grid.places] = values
    axes = (*grid.axes, last)
    return Histogram.from_arrays(ordered.reshape(tuple(axis.size for axis in axes)), axes, metadata=metadata)


def _grid(spectrum: dict[str, Any], count: int, metadata: dict[str, Any]) -> Grid:
    key = "hkl" if "hkl" in spectrum else "hklA"
    points = _array(spectrum, key).real if key in spectrum else np.zeros((0, 0))
    if key == "hklA" and points.size == count and 1 in points.shape:  # powspec
        order = np.argsort(points.reshape(-1))
        place = np.empty(count, dtype=np.int64)
        place[order] = np.arange(count)
        return Grid((modulus_axis(edges_of(points.reshape(-1)[order])),), place, (0.0, 0.0, 0.0))
    if key == "hkl" and points.size:
        points = _points_last(points, 1)
        if points.shape != (3, count):
            raise _wrong(f"hkl is of shape {points.shape} and there are {count} points.")
        grid = find_grid(points.T.astype(np.float64))
        if grid is not None:
            if any(grid.offset):
                metadata["offset"] = list(grid.offset)
            return grid
        if count <= MAX_POINTS_KEPT and np.all(np.isfinite(points)):
            metadata["points"] = points.T.tolist()
    else:
        metadata.setdefault("left_out", []).append("points: the file has no hkl")
    return Grid(
        (Axis("point", np.arange(count + 1, dtype=np.float64) + 0.5),), np.arange(count), (0.0, 0.0, 0.0)
    )
