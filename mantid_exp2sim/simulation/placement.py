"""How the axes of a histogram lie in the laboratory, and the resolution in their coordinates.

The covariance of (Q, E) is known in the frame of the beam (`resolution.direction_map`). A histogram has
coordinates along directions of a crystal, along |Q| or along E. Where a bin was measured from follows from
Q, E and Ei: of a crystal that stood still, the part of Q along the beam; of one that was turned, how far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mantid_exp2sim.errors import AxisError, OptionError
from mantid_exp2sim.histogram import Axis, Floats, Histogram, integrated_axes
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM, usual_unit
from mantid_exp2sim.histogram.direction import Vector
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.coverage import reached
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.resolution import direction_map, variable_variances

Sample = Literal["still", "turned", "powder"]
WIDEST = 2.0
"""r.l.u. over which an axis may be integrated for its middle to say where the data are."""


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """A coordinate of momentum: Q = ``origin`` + coordinate · ``step``, both (3,) in Å⁻¹ in the crystal."""

    name: str
    origin: Floats
    step: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where the bins of one histogram are in (Q, E) of the laboratory. Built by `place`.

    ``columns`` say what each axis is: the number of its direction, or "energy" or "modQ". ``directions`` are
    those of the axes, then of what was integrated over, at ``middles``. ``frame`` (3, 3) has in its rows the
    beam, the horizontal and the vertical direction of a crystal that stood ``still``, in Cartesian crystal
    axes; of one that was ``turned`` the last row alone counts.
    """

    instrument: Instrument
    incident_energy: float
    sample: Sample
    columns: tuple[int | Literal["energy", "modQ"], ...]
    directions: tuple[Direction, ...]
    middles: tuple[float, ...]
    energy: float | None
    frame: Floats

    def covariances(self, centres: Sequence[Floats]) -> Floats:
        """Compute the covariance in the coordinates of the axes at each combination of ``centres``.

        (n0, n1, …, d, d). Where no neutron can be, that of the nearest point that one reaches.
        """
        grids = np.meshgrid(*centres, indexing="ij")
        energy = self._energy(grids)
        ki = np.sqrt(self.incident_energy / ENERGY_PER_K2)
        kf = np.sqrt((self.incident_energy - energy) / ENERGY_PER_K2)
        if self.sample == "powder":
            return self._of_powder(grids, energy, kf)
        q = self._momentum(grids)
        if self.sample == "still":
            across = q @ self.frame[1:].T
            across = (
                across
                * np.minimum(1, 0.98 * kf / np.maximum(np.hypot(*np.moveaxis(across, -1, 0)), 1e-9))[
                    ..., None
                ]
            )
            along = ki - np.sqrt(kf**2 - (across**2).sum(-1))
            at = np.concatenate([along[..., None], across], axis=-1)
            return self._in_axes(at, energy, kf, np.broadcast_to(self.frame, (*energy.shape, 3, 3)))
        return self._of_turned(q, energy, kf)

    def _energy(self, grids: Sequence[Floats]) -> Floats:
        if "energy" in self.columns:
            energy = grids[self.columns.index("energy")]
        else:
            energy = np.full(grids[0].shape, self.energy)
        return np.minimum(energy, 0.97 * self.incident_energy)

    def _momentum(self, grids: Sequence[Floats]) -> Floats:
        coordinates = [np.full(grids[0].shape, middle) for middle in self.middles]
        for column, grid in zip(self.columns, grids, strict=True):
            if isinstance(column, int):
                coordinates[column] = grid
        q = np.zeros((*grids[0].shape, 3))
        for coordinate, direction in zip(coordinates, self.directions, strict=True):
            q = q + direction.origin + coordinate[..., None] * direction.step
        return q

    def _of_powder(self, grids: Sequence[Floats], energy: Floats, kf: Floats) -> Floats:
        ki = np.sqrt(self.incident_energy / ENERGY_PER_K2)
        length = grids[self.columns.index("modQ")]
        length = np.clip(length, ki - kf + 1e-3 * ki, 0.999 * (ki + kf))
        length = np.maximum(length, np.abs(ki - kf) + 1e-3 * ki)
        along = (ki**2 - kf**2 + length**2) / (2 * ki)
        side = np.sqrt(np.maximum(length**2 - along**2, 0.0))
        at = np.stack([along, side, np.zeros_like(side)], axis=-1)
        unit = at / length[..., None]
        rows = np.zeros((*length.shape, len(self.columns), 4))
        rows[..., self.columns.index("modQ"), :3] = unit
        if "energy" in self.columns:
            rows[..., self.columns.index("energy"), 3] = 1
        return rows @ self._in_laboratory(at, energy, kf) @ np.swapaxes(rows, -1, -2)

    def _of_turned(self, q: Floats, energy: Floats, kf: Floats) -> Floats:
        """The mean over the two sides of the beam on which a point can be met, those with detectors."""
        ki = np.sqrt(self.incident_energy / ENERGY_PER_K2)
        vertical = self.frame[2]
        height = q @ vertical
        flat = q - height[..., None] * vertical
        size = np.linalg.norm(flat, axis=-1)
        heading = np.where(size[..., None] > 1e-9, flat / np.maximum(size, 1e-9)[..., None], self.frame[1])
        along = (ki**2 - kf**2 + size**2 + height**2) / (2 * ki)
        limit = ki + np.sqrt(np.maximum(kf**2 - height**2, 0.0))
        along = np.clip(along, -np.minimum(size, limit), np.minimum(size, limit))
        side = np.sqrt(np.maximum(size**2 - along**2, 0.0))
        size = np.maximum(size, 1e-9)
        total = np.zeros((*energy.shape, len(self.columns), len(self.columns)))
        weight = np.zeros((*energy.shape, 1, 1))
        for sign in (1.0, -1.0):
            cosine, sine = (along / size)[..., None], (sign * side / size)[..., None]
            beside = np.cross(vertical, heading)
            frame = np.stack(
                [
                    cosine * heading - sine * beside,
                    sine * heading + cosine * beside,
                    np.broadcast_to(vertical, heading.shape),
                ],
                axis=-2,
            )
            at = np.stack([along, sign * side, height], axis=-1)
            part = self._in_axes(at, energy, kf, frame)
            met = reached(self.instrument, at[..., 1], at[..., 2], energy, self.incident_energy) + 1e-6
            total, weight = total + met[..., None, None] * part, weight + met[..., None, None]
        return total / weight

    def _in_axes(self, at: Floats, energy: Floats, kf: Floats, frame: Floats) -> Floats:
        """From (Q, E) of the laboratory at ``at`` to the axes; ``frame`` (…, 3, 3) from the crystal to it."""
        steps = np.array([direction.step for direction in self.directions]).reshape(-1, 3)
        dual = np.linalg.pinv(steps).T  # (m, 3): coordinate = dual · Q
        rows = np.zeros((*energy.shape, len(self.columns), 4))
        for i, column in enumerate(self.columns):
            if column == "energy":
                rows[..., i, 3] = 1
            else:
                rows[..., i, :3] = frame @ dual[int(column)]
        return rows @ self._in_laboratory(at, energy, kf) @ np.swapaxes(rows, -1, -2)

    def _in_laboratory(self, at: Floats, energy: Floats, kf: Floats) -> Floats:
        """The covariance (…, 4, 4) of Q along the beam, horizontal, vertical, and E; Å⁻¹ and meV."""
        ki = np.sqrt(self.incident_energy / ENERGY_PER_K2)
        outgoing = np.array([ki, 0.0, 0.0]) - at
        outgoing /= np.linalg.norm(outgoing, axis=-1, keepdims=True)
        matrix = direction_map(self.instrument, outgoing, kf, self.incident_energy)
        variances = variable_variances(self.instrument, self.incident_energy)
        return np.asarray((matrix * variances) @ np.swapaxes(matrix, -1, -2))


def place(
    histogram: Histogram,
    instrument: Instrument,
    incident_energy: float,
    *,
    lattice: Lattice | None = None,
    beam: Vector | None = None,
    vertical: Vector | None = None,
) -> Placement:
    """Say where the bins of a histogram were measured.

    Parameters
    ----------
    histogram
        Its axes are the energy transfer, |Q|, or directions in reciprocal space, in any order.
    incident_energy
        meV.
    lattice
        Needed where an axis is in r.l.u.
    beam
        (h, k, l) along the beam: the crystal stood still. So it did, too, where neither this nor ``vertical``
        is given, and no third direction is known: then the beam is normal to the two that are.
    vertical
        (h, k, l) about which the crystal was turned. The default is normal to the first two directions.

    Raises
    ------
    Exp2SimError
        If an axis is none of these, or the lattice or the energy transfer is not known.
    """
    instrument.refuse_shut(incident_energy)
    columns: list[int | Literal["energy", "modQ"]] = []
    directions: list[Direction] = []
    for axis in histogram.axes:
        kind = axis.kind
        if kind in ("energy", "modQ"):
            columns.append("energy" if kind == "energy" else "modQ")
        else:
            columns.append(len(directions))
            directions.append(_direction(axis, lattice))
    if "modQ" in columns and directions:
        raise AxisError(
            "The axes mix |Q| with directions of a crystal.",
            fix="Cut the data along |Q| and energy, or along directions.",
            wrong="axes",
        )
    middles = [0.0] * len(directions)
    energy = None
    for axis in integrated_axes(histogram):
        if axis.kind == "energy":
            energy = float(axis.centres[0])
        elif (
            axis.kind != "modQ" and "modQ" not in columns and axis.widths[0] <= WIDEST and len(directions) < 3
        ):
            directions.append(_direction(axis, lattice))
            middles.append(float(axis.centres[0]))
    if "energy" not in columns and energy is None:
        raise OptionError(
            "The energy transfer of the data is not known.",
            reason="The resolution depends on it, and the data have no axis of energy.",
            fix="Cut the data with `exp2sim cut`, which records the range of energy, or keep the axis.",
            option="energy",
        )
    sample, frame = _mounting(tuple(directions), lattice, beam, vertical)
    return Placement(
        instrument, incident_energy, "powder" if "modQ" in columns else sample,
        tuple(columns), tuple(directions), tuple(middles), energy, frame,
    )  # fmt: skip


def _mounting(
    directions: tuple[Direction, ...], lattice: Lattice | None, beam: Vector | None, vertical: Vector | None
) -> tuple[Sample, Floats]:
    """Whether the crystal stood still, and the beam, the horizontal and the vertical in its axes."""
    steps = [direction.step for direction in directions]
    if beam is not None and vertical is not None:
        raise OptionError(
            "Both the direction along the beam and the vertical one are given.",
            reason="The first says that the crystal stood still, the second that it was turned.",
            fix="Leave one out.",
            option="vertical",
        )
    if beam is None and (vertical is not None or len(steps) not in (0, 2)):
        if vertical is not None:
            axis = _cartesian(vertical, lattice)
        elif len(steps) > 1:
            axis = np.cross(steps[0], steps[1])
        else:
            axis = _normal(steps[0])
        return "turned", _triad(np.cross(_normal(axis), axis), axis)[[1, 0, 2]]
    if beam is not None:
        along = _cartesian(beam, lattice)
    else:
        along = np.cross(steps[0], steps[1]) if steps else np.array([1.0, 0.0, 0.0])
    horizontal = steps[0] if steps and np.linalg.norm(np.cross(steps[0], along)) > 1e-6 else _normal(along)
    along = along / np.linalg.norm(along)
    horizontal = horizontal - (horizontal @ along) * along
    horizontal = horizontal / np.linalg.norm(horizontal)
    return "still", np.stack([along, horizontal, np.cross(along, horizontal)])


def _triad(first: Floats, vertical: Floats) -> Floats:
    """Three unit vectors: along ``first``, across it, and ``vertical``."""
    up, one = vertical / np.linalg.norm(vertical), first / np.linalg.norm(first)
    return np.stack([one, np.cross(up, one), up])


def _normal(vector: Floats) -> Floats:
    """A vector that is normal to another."""
    return np.cross(vector, np.eye(3)[int(np.argmin(np.abs(vector)))])


def _cartesian(hkl: Vector, lattice: Lattice | None) -> Floats:
    if lattice is None:
        raise _no_lattice(f"{list(hkl)}")
    return np.asarray(np.array(hkl, dtype=float) @ (2 * np.pi * np.linalg.inv(lattice.vectors()).T))


def _no_lattice(what: str) -> OptionError:
    return OptionError(
        "The lattice of the crystal is not known.",
        reason=f"{what} is in reciprocal lattice units, and the file tells no lattice constants.",
        fix="Give --lattice A B C (in Å; and three angles in degrees where they are not 90).",
        option="lattice",
    )


def _direction(axis: Axis, lattice: Lattice | None) -> Direction:
    """The direction that an axis lies along; one of QSample or QLab has its components in Å⁻¹."""
    if axis.direction is None:
        raise AxisError(
            f"The axis {axis.name!r} is neither energy, nor |Q|, nor a direction.",
            reason="Such as DeltaE, |Q|, [H,0,0], [H,H,0] or [-K,2K,0].",
            fix="Name the axis so, or cut the data along such axes.",
            wrong="axes",
        )
    step, origin = np.array(axis.direction), np.array(axis.offset)
    if axis.frame in ("QSample", "QLab"):
        return Direction(axis.name, origin, step)
    if lattice is None:
        raise _no_lattice(f"The axis {axis.name}")
    reciprocal = 2 * np.pi * np.linalg.inv(lattice.vectors()).T
    step, origin = step @ reciprocal, origin @ reciprocal
    if usual_unit(axis.unit) == INVERSE_ANGSTROM:
        step = step / np.linalg.norm(step)
    return Direction(axis.name, origin, step)
