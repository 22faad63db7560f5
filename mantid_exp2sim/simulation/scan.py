"""A crystal that turns while it is measured: which (Q, E) are seen, at which angle, and how sharply.

A point (Q, E) is seen where ki² + Q² − kf² = 2 ki Q∥ with the vertical part of Q left as it is: to the left
or to the right of the beam, at the two angles psi that bring it there. It counts as measured where psi lies
inside the scan and a detector stands there; its resolution is that of these detectors, turned back by psi
into the crystal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.histogram.direction import Vector
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.coverage import detected
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.resolution import (
    RadialResolution,
    direction_map,
    fit_covariances,
    variable_variances,
)

POINTS = 9
"""Points along each axis of view at which the resolution is computed."""


class Scan(BaseModel):
    """``[scan]``: the crystal turns about the vertical from ``psi[0]`` to ``psi[1]`` degrees.

    At psi = 0 the direction ``along`` lies along ki; ``beside`` spans the horizontal plane with it, as u and
    v of Horace and of Mantid's SetUB do. Positive psi turns anticlockwise, seen from above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    psi: tuple[float, float]
    along: Vector = (1.0, 0.0, 0.0)
    beside: Vector = (0.0, 1.0, 0.0)

    @model_validator(mode="after")
    def _ascending(self) -> Scan:
        if not self.psi[0] < self.psi[1] <= self.psi[0] + 360:
            raise ValueError(f"psi goes from {self.psi[0]:g} to {self.psi[1]:g}: up, by at most 360 degrees")
        if np.linalg.norm(np.cross(self.along, self.beside)) < 1e-9:
            raise ValueError("along and beside are parallel")
        return self

    def frame(self, lattice: Lattice) -> Floats:
        """Return rows (3, 3), unit vectors in the crystal's Cartesian frame: along ki, horizontal, up."""
        reciprocal = np.linalg.inv(lattice.vectors()).T
        along, beside = (np.array(vector) @ reciprocal for vector in (self.along, self.beside))
        along = along / np.linalg.norm(along)
        up = np.cross(along, beside)
        up = up / np.linalg.norm(up)
        return np.stack([along, np.cross(up, along), up])


class Seen(NamedTuple):
    """How points (N,) are seen, to the left and to the right: arrays (2, N, …).

    ``outgoing`` (2, N, 3) unit vectors along kf in the laboratory, ``psi`` in radians, ``possible`` by the
    kinematics, ``measured`` by a detector inside the scan.
    """

    outgoing: Floats
    psi: Floats
    possible: Booleans
    measured: Booleans


def see(instrument: Instrument, scan: Scan, q: Floats, energy: Floats, incident_energy: float) -> Seen:
    """Find how points are seen; ``q`` (N, 3) in Å⁻¹ in the `Scan.frame`, ``energy`` (N,) in meV."""
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    along = (np.sum(q**2, axis=1) + energy / ENERGY_PER_K2) / (2 * ki)
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.sqrt(q[:, 0] ** 2 + q[:, 1] ** 2 - along**2) * np.array([[1.0], [-1.0]])
        kf = np.stack([ki - along + 0 * across, -across, -q[:, 2] + 0 * across], axis=-1)
        outgoing = kf / np.linalg.norm(kf, axis=-1, keepdims=True)
        psi = np.arctan2(across, along) - np.arctan2(q[:, 1], q[:, 0])
        possible = np.isfinite(across) & np.isfinite(outgoing).all(axis=-1)
        start, stop = np.radians(scan.psi)
        inside = np.mod(psi - start, 2 * np.pi) <= stop - start
    return Seen(outgoing, psi, possible, possible & inside & detected(instrument, *np.moveaxis(kf, -1, 0)))


def covariances(
    instrument: Instrument, scan: Scan, q: Floats, energy: float, incident_energy: float
) -> tuple[Floats, Booleans]:
    """Compute covariances (N, 4, 4) of Q and E in the `Scan.frame`, in Å⁻² , Å⁻¹ meV and meV².

    The mean over the ways in which a point is seen; over all possible ones where none is measured. Also
    returns which points (N,) are possible.
    """
    seen = see(instrument, scan, q, np.full(len(q), energy), incident_energy)
    kf = np.full(seen.psi.shape, np.sqrt((incident_energy - energy) / ENERGY_PER_K2))
    possible = seen.possible.any(axis=0)
    outgoing = np.where(seen.possible[..., None], seen.outgoing, [1.0, 0.0, 0.0])
    matrix = direction_map(instrument, outgoing, kf, incident_energy)
    laboratory = (matrix * variable_variances(instrument, incident_energy)) @ np.swapaxes(matrix, -1, -2)
    turn = np.zeros((*seen.psi.shape, 4, 4))
    psi = np.where(seen.possible, seen.psi, 0.0)
    turn[..., 0, 0] = turn[..., 1, 1] = np.cos(psi)
    turn[..., 0, 1], turn[..., 1, 0] = np.sin(psi), -np.sin(psi)
    turn[..., 2, 2] = turn[..., 3, 3] = 1.0
    crystal = turn @ laboratory @ np.swapaxes(turn, -1, -2)
    share = np.where(seen.measured.any(axis=0), seen.measured, seen.possible).astype(np.float64)
    mean = np.einsum("sn,snab->nab", share, crystal) / np.maximum(share.sum(axis=0), 1.0)[:, None, None]
    return mean, np.asarray(possible)


def scan_fits(
    instrument: Instrument,
    scan: Scan,
    turn: Floats,
    incident_energy: float,
    energies: tuple[float, ...],
    ends: Floats,
) -> tuple[tuple[RadialResolution, ...], Floats]:
    """Fit the resolution of a scan at several energy transfers (meV).

    ``turn`` (3, 3) takes coordinates along the two axes of view and the third direction to the `Scan.frame`;
    ``ends`` (3, 2) in Å⁻¹ are those of the volume. Returns the fits, and the standard deviations along the
    third direction in Å⁻¹. Raises `Exp2SimError` where no point can be reached.
    """
    lines = [np.linspace(low, high, POINTS) for low, high in ends[:2]]
    lines.append(np.linspace(ends[2, 0], ends[2, 1], 3))
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    axes = np.eye(4)
    axes[:3, :3] = turn
    fits: dict[int, tuple[RadialResolution, float]] = {}
    for number, energy in enumerate(energies):
        cov, possible = covariances(instrument, scan, points @ turn.T, energy, incident_energy)
        if possible.sum() < 6:
            continue
        cov, at = (axes.T @ cov @ axes)[possible], points[possible]
        view = cov[:, [[0], [1], [3]], [0, 1, 3]]
        fits[number] = fit_covariances(at[:, 0], at[:, 1], view), float(np.sqrt(cov[:, 2, 2].mean()))
    if not fits:
        raise Exp2SimError(
            "No bin can be reached at this incident energy.",
            reason=f"Ei is {incident_energy:g} meV.",
            fix="Choose a higher incident energy, or smaller Q and energy transfer.",
        )
    nearest = [min(fits, key=lambda n: abs(n - number)) for number in range(len(energies))]
    return tuple(fits[n][0] for n in nearest), np.array([fits[n][1] for n in nearest])


def scan_mask(
    instrument: Instrument,
    scan: Scan,
    turn: Floats,
    edges: tuple[Floats, Floats, Floats, Floats],
    incident_energy: float,
    *,
    samples: int = 3,
) -> NDArray[np.bool_]:
    """Find the bins (n, m, nE) that no detector reaches at any angle, True = not measured.

    ``edges`` in Å⁻¹ along the axes of view and of the one range along the third direction, and in meV; each
    bin is probed at ``samples``⁴ points.
    """
    offsets = (np.arange(samples) + 0.5) / samples
    points = [(e[:-1, None] + np.diff(e)[:, None] * offsets).reshape(-1) for e in edges]
    q = np.stack(np.meshgrid(*points[:3], indexing="ij"), axis=-1).reshape(-1, 3) @ turn.T
    shape = [n for p in points[:2] for n in (p.size // samples, samples)] + [points[2].size]
    planes = []
    for energies in points[3].reshape(-1, samples):
        hit = np.zeros(len(q), dtype=bool)
        for energy in energies:
            hit |= see(instrument, scan, q, np.full(len(q), energy), incident_energy).measured.any(axis=0)
        planes.append(~hit.reshape(shape).any(axis=(1, 3, 4)))
    return np.stack(planes, axis=-1)
