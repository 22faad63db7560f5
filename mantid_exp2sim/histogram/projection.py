"""The directions that the axes of a volume follow, and which axis of some data is which of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.axis import Axis, Booleans, Floats
from mantid_exp2sim.histogram.data import Histogram
from mantid_exp2sim.histogram.direction import Vector, direction_name

Slot = Literal["h", "k", "l", "energy"]
"""Place of an axis in a volume: the first, the second and the third momentum axis, and the energy."""

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
"""Names of the lattice constants (Å, degrees) in the metadata ``lattice``."""
MODULUS = "|Q|"
_CROSS: Vector = (0.0, 0.0, 0.0)
_PARALLEL = 2e-3
"""Names have three digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where an axis of a volume is among the axes of some data: ``position``, or None for one that is gone.

    ``axis`` has its edges in the coordinate of the projection; ``flipped``: they run the other way.
    """

    position: int | None
    axis: Axis
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """The momentum axes of a volume as directions in (h, k, l) per unit of their coordinates.

    ``third`` is by default what is normal to both where a, b and c are. ``over``: range of its coordinate
    that is integrated over; None: whatever the kinematics give.
    ``powder``: the first axis is |Q| in Å⁻¹, and there is no other.

    >>> projection = Projection((1, 1, 0), (0, 0, 1))
    >>> projection.names, projection.third_name
    (('[H,H,0]', '[0,0,L]'), '[H,-H,0]')
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    first: Vector = (1.0, 0.0, 0.0)
    second: Vector = (0.0, 1.0, 0.0)
    third: Vector = _CROSS
    over: tuple[float, float] | None = None
    powder: bool = False

    def __post_init__(self) -> None:
        """Fill in the third direction, and validate that they span the space."""
        if self.third == _CROSS:
            cross = np.cross(self.first, self.second)
            size = float(np.abs(cross).max()) or 1.0
            object.__setattr__(self, "third", tuple((cross / size + 0.0).tolist()))
        matrix = self.matrix
        sizes = np.linalg.norm(matrix, axis=0)
        if not np.isfinite(sizes).all() or abs(np.linalg.det(matrix)) <= 1e-6 * np.prod(sizes):
            raise Exp2SimError(
                "The directions of a projection lie in one plane.",
                reason=f"They are {matrix.T.tolist()} in (h, k, l).",
                fix="Give three directions that span reciprocal space.",
            )

    @property
    def matrix(self) -> Floats:
        """The directions as columns (3, 3)."""
        return np.array([self.first, self.second, self.third], dtype=np.float64).T

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two momentum axes."""
        if self.powder:
            return MODULUS, ""
        return direction_name(self.first, "H"), direction_name(self.second, "K")

    @property
    def third_name(self) -> str:
        """Name of the direction that a volume does not show."""
        return direction_name(self.third, "L")

    @property
    def words(self) -> str:
        """The axes of a volume in words.

        >>> Projection().words, Projection(powder=True).words
        ('[H,0,0], [0,K,0] and DeltaE', '|Q| and DeltaE')
        """
        names = [*filter(None, self.names), "DeltaE"]
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def title(self, slot: str) -> str:
        """Name of the axis in one place, for messages."""
        if slot == "energy":
            return "energy transfer"
        return {"h": self.names[0], "k": self.names[1], "l": self.third_name}[slot]

    def axes(self, first: Floats, second: Floats, energy: Floats) -> tuple[Axis, Axis, Axis]:
        """Make the axes of a volume from their edges in r.l.u. (Å⁻¹ for |Q|) and meV."""
        if self.powder:
            momenta = (
                Axis(MODULUS, first, unit="A^-1", frame="General Frame"),
                Axis("directions", second, unit="", frame="General Frame"),
            )
        else:
            pairs = zip(self.names, (first, second), strict=True)
            momenta = tuple(Axis(name, edges, unit="r.l.u.", frame="HKL") for name, edges in pairs)  # type: ignore[assignment]
        return (*momenta, Axis("DeltaE", energy, unit="meV", frame="General Frame"))

    def place(self, axis: Axis, position: int | None = None) -> tuple[Slot, Place] | None:
        """Tell which axis of a volume an axis is, in the projection's coordinate; None for a foreign one.

        >>> slot, place = Projection((1, 0, 0), (-1, 2, 0)).place(Axis("[0.5K,-K,0]", np.array([0.0, 1.0])))
        >>> slot, place.axis.edges.tolist(), place.flipped
        ('k', [-0.5, 0.0], True)
        """
        if axis.kind == "energy":
            return "energy", Place(position, axis)
        if self.powder:
            return ("h", Place(position, axis)) if axis.kind == "modQ" else None
        if axis.direction is None:
            return None
        steps, offset = (np.linalg.solve(self.matrix, np.array(v)) for v in (axis.direction, axis.offset))
        number = int(np.argmax(np.abs(steps)))
        scale, others = steps[number], np.delete(np.abs(steps), number)
        if others.max() > _PARALLEL * abs(scale):
            return None
        slots: tuple[Slot, Slot, Slot] = ("h", "k", "l")
        scale = np.round(scale) if abs(scale - np.round(scale)) < _PARALLEL and np.round(scale) else scale
        if scale == 1 and offset[number] == 0:
            return slots[number], Place(position, axis)
        edges = scale * axis.edges + offset[number] + 0.0
        edges = edges[::-1] if scale < 0 else edges
        return slots[number], Place(position, replace(axis, edges=edges), bool(scale < 0))

    def places(self, axes: Sequence[Axis]) -> dict[Slot, Place]:
        """Find the axes of a volume among those of some data; `Exp2SimError` where two are the same one."""
        places: dict[Slot, Place] = {}
        for position, axis in enumerate(axes):
            pair = self.place(axis, position)
            if pair is None:
                continue
            if pair[0] in places:
                names = ", ".join(repr(a.name) for a in (axes[places[pair[0]].position or 0], axis))
                raise Exp2SimError(
                    f"More than one axis could be {self.title(pair[0])}: {names}.", fix="Rename one of them."
                )
            places[pair[0]] = pair[1]
        return places

    def points(self, axes: Sequence[Axis]) -> Floats:
        """Coordinates (3,) of the point that the names of the axes tell, such as 0.5 of ``[H,0.5,0]``."""
        offsets = [axis.offset for axis in axes if axis.direction is not None]
        return np.linalg.solve(self.matrix, np.sum(offsets, axis=0)) if offsets else np.zeros(3)


HKL = Projection()
"""The usual axes, [H,0,0] and [0,K,0]."""


def integrated_axes(histogram: Histogram) -> tuple[Axis, ...]:
    """Return one bin for each axis that data were integrated over, where their metadata tell its range.

    >>> entries = [{"axis": "[0,K,0]", "range": [-0.5, 0.5]}, {"axis": "[0,0,L]", "range": None}]
    >>> h = Histogram.from_arrays([1.0], [Axis("DeltaE", np.arange(2.0))], metadata={"integrated": entries})
    >>> [(axis.name, axis.edges.tolist()) for axis in integrated_axes(h)]
    [('[0,K,0]', [-0.5, 0.5])]
    """
    axes = []
    entries = histogram.metadata.get("integrated")
    for entry in entries if isinstance(entries, list | tuple) else ():
        try:
            edges, name = np.array([float(end) for end in entry["range"]]), str(entry["axis"])
            words = ("meV", "General Frame") if name == "DeltaE" else ("r.l.u.", "HKL")
            axes.append(Axis(name, edges, *words))
        except (TypeError, ValueError, KeyError, Exp2SimError):  # of an unknown or endless range, or damaged
            continue
    return tuple(axis for axis in axes if axis.size == 1)


def volume_histogram(
    projection: Projection,
    edges: Sequence[Floats],
    intensity: Floats,
    variance: Floats | None = None,
    mask: Booleans | None = None,
    *,
    metadata: Mapping[str, Any],
) -> Histogram:
    """Make a histogram of a volume (h, k, E) with these ``edges``; that of a powder is (|Q|, E)."""
    arrays, axes = (intensity, variance, mask), projection.axes(*edges)
    if not projection.powder:
        return Histogram.from_arrays(intensity, axes, variance, mask, metadata=metadata)
    values, spread, unknown = (None if array is None else array[:, 0] for array in arrays)
    assert values is not None
    return Histogram.from_arrays(values, (axes[0], axes[2]), spread, unknown, metadata=metadata)


def projection_of(axes: Sequence[Axis], default: Projection = HKL) -> Projection:
    """Make the projection that the momentum axes of some data have, in their order; else the default's."""
    if any(axis.kind == "modQ" for axis in axes):
        return Projection(powder=True)
    directions = [axis.direction for axis in axes if axis.direction is not None]
    candidates = [*directions, *(getattr(default, f.name) for f in fields(default)[:3])]
    if {default.first, default.second} <= set(directions):
        return default
    basis: list[Vector] = []
    for vector in candidates:
        if np.linalg.matrix_rank(np.array([*basis, vector]), tol=1e-6) > len(basis):
            basis.append(vector)
    return Projection(basis[0], basis[1], basis[2])
