"""One axis of a histogram: its bins, and what it measures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.checks import frozen_copy
from mantid_exp2sim.histogram.direction import Vector, read_direction

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
AxisKind = Literal["h", "k", "l", "energy", "modQ"]

INVERSE_ANGSTROM = "A^-1"
_ENERGY_NAMES = {"deltae", "e", "en", "energy", "energy transfer", "energytransfer", "omega", "dele"}
_MODQ_NAMES = {"|q|", "modq", "q", "mod_q"}
_UNIT_VECTORS: dict[Vector, AxisKind] = {(1, 0, 0): "h", (0, 1, 0): "k", (0, 0, 1): "l"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Axis:
    """One dimension of a histogram, given by its bin edges.

    Parameters
    ----------
    name
        The dimension's name, such as ``[H,0,0]`` or ``DeltaE``.
    edges
        Bin edges, float64 (n + 1,), finite and strictly increasing.
    unit
        Unit of the edges, such as ``r.l.u.`` or ``meV``.
    frame
        Mantid's MD frame: ``HKL``, ``QSample``, ``QLab``, ``General Frame`` or ``Unknown frame``.
    label
        Text for pictures; empty means the name.

    Raises
    ------
    Exp2SimError
        If the edges are no increasing sequence of at least two finite numbers.

    Examples
    --------
    >>> axis = Axis("DeltaE", np.array([0.0, 1.0, 3.0]), unit="meV")
    >>> axis.size, axis.centres, axis.widths
    (2, array([0.5, 2. ]), array([1., 2.]))
    """

    name: str
    edges: Floats
    unit: str = ""
    frame: str = "Unknown frame"
    label: str = ""

    def __post_init__(self) -> None:
        edges = frozen_copy(self.edges, np.float64, f"The edges of axis {self.name!r}")
        if edges.ndim != 1 or edges.size < 2:
            raise Exp2SimError(
                f"Axis {self.name!r} has edges of shape {edges.shape}.",
                fix="Give the n + 1 edges of n bins, n at least 1.",
            )
        if not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
            raise Exp2SimError(
                f"The edges of axis {self.name!r} are not finite and strictly increasing.",
                fix="Sort them, and leave out what is no number or stands twice.",
            )
        object.__setattr__(self, "edges", edges)

    def __repr__(self) -> str:
        bins = f"{self.size} bins" if self.size != 1 else "1 bin"
        return (
            f"Axis({self.name!r}, {bins}, {self.edges[0]:g} to {self.edges[-1]:g} {self.unit}".strip() + ")"
        )

    @property
    def size(self) -> int:
        """Number of bins."""
        return int(self.edges.size) - 1

    @property
    def centres(self) -> Floats:
        """Bin centres, float64 (n,)."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

    @property
    def widths(self) -> Floats:
        """Bin widths, float64 (n,)."""
        return np.diff(self.edges)

    @property
    def kind(self) -> AxisKind | None:
        """What the axis measures, from its name, unit and frame, or None where that is unclear.

        A direction counts only where it is one of the reciprocal axes: ``[H,H,0]`` is None.
        """
        return _kind(self.name, self.unit, self.frame)

    @property
    def direction(self) -> Vector | None:
        """Step in (h, k, l) per unit of the edges, from the name or the frame; None for what is none.

        >>> Axis("['-eta', '2eta', 0]", np.array([0.0, 1.0])).direction
        (-1.0, 2.0, 0.0)
        """
        line = self._line()
        return None if line is None else line[0]

    @property
    def offset(self) -> Vector:
        """The point (h, k, l) that the edges count from, as the name tells it."""
        line = self._line()
        return (0.0, 0.0, 0.0) if line is None else line[1]

    def _line(self) -> tuple[Vector, Vector] | None:
        if self.kind in ("energy", "modQ"):
            return None
        return read_direction(self.name) or read_direction(self.frame)


def _kind(name: str, unit: str, frame: str) -> AxisKind | None:
    plain = name.strip().lower()
    if frame not in ("HKL", "QSample", "QLab") and (
        plain in _ENERGY_NAMES or (unit.strip() in ("meV", "DeltaE") and "q" not in plain)
    ):
        return "energy"
    if plain in _MODQ_NAMES and frame != "HKL":
        return "modQ"
    line = read_direction(name) or read_direction(frame)
    kind = None if line is None else _UNIT_VECTORS.get(line[0])
    starts_elsewhere = kind is not None and line is not None and line[1]["hkl".index(kind)] != 0
    return None if starts_elsewhere else kind


def usual_unit(unit: str) -> str:
    """Return the usual word for a unit of reciprocal space that files write in several ways.

    Mantid writes r.l.u. also as the length of the reciprocal axis.

    >>> usual_unit("rlu"), usual_unit("in 1.162 A^-1"), usual_unit("Angstrom^-1"), usual_unit("meV")
    ('r.l.u.', 'r.l.u.', 'A^-1', 'meV')
    """
    plain = unit.strip().lower()
    if plain.replace(".", "") in ("rlu", "r") or re.fullmatch(r"in [0-9.]+ a\^-1", plain):
        return "r.l.u."
    if re.fullmatch(r"1/(å|a|angstroms?)|(å|a|angstroms?)(\^-1|\^\{-1\}|⁻¹)", plain):
        return INVERSE_ANGSTROM
    return unit.strip()
