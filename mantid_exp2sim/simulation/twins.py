"""The plane that a volume shows of a crystal: the directions of view of each twin, and its grid cells."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.material import Description, Lattice, View

MAX_POINTS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A twin of the crystal as the beam sees it.

    ``axes`` (3, 3): rows are the horizontal and the vertical axis of view and the beam, unit vectors in the
    twin's Cartesian frame; ``lengths`` 2π over the length of one r.l.u. of the two axes, in Å;
    ``weight`` its share of the crystal.
    """

    axes: Floats
    lengths: tuple[float, float]
    weight: float

    @property
    def beam(self) -> Floats:
        """Unit vector along ki."""
        return np.asarray(self.axes[2])


def oriented(lattice: Lattice, view: View, name: str) -> tuple[Floats, tuple[float, float]]:
    """Return ``axes`` and ``lengths`` of `Twin`; `Exp2SimError` where the axes of view are not normal."""
    reciprocal = 2 * np.pi * np.linalg.inv(lattice.vectors()).T
    horizontal = np.array(view.horizontal, dtype=float) @ reciprocal
    vertical = np.array(view.vertical, dtype=float) @ reciprocal
    lengths = float(np.linalg.norm(horizontal)), float(np.linalg.norm(vertical))
    if min(lengths) < 1e-9 or abs(horizontal @ vertical) > 1e-6 * lengths[0] * lengths[1]:
        raise Exp2SimError(
            f"The axes of view of {name} are not normal to each other.",
            reason=f"They are {list(view.horizontal)} and {list(view.vertical)} in r.l.u.",
            fix="Choose others in [view], such as [1, 0, 0] and [-1, 2, 0] at γ = 120°.",
        )
    horizontal, vertical = horizontal / lengths[0], vertical / lengths[1]
    axes = np.stack([horizontal, vertical, np.cross(horizontal, vertical)])
    return axes, (2 * np.pi / lengths[0], 2 * np.pi / lengths[1])


def twins_in_view(description: Description) -> tuple[Twin, ...]:
    """Orient the twins of a description; `Exp2SimError` where its axes of view are not normal."""
    axes, units = oriented(description.lattice, description.view, description.name)
    total = sum(twin.weight for twin in description.twins)
    return tuple(Twin(axes @ twin.matrix(), units, twin.weight / total) for twin in description.twins)


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Cells of a grid around Q = 0: ``first`` (2,) index of the first cell and ``shape`` (2,) their numbers
    along the horizontal and the vertical axis, ``step`` (2,) their sizes in Å⁻¹. ``solved`` (F, 2) are the
    points (Å⁻¹) that must be solved, ``row`` (P,) which of them stands for each cell.
    """

    first: tuple[int, int]
    shape: tuple[int, int]
    step: tuple[float, float]
    solved: Floats
    row: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Number of cells P."""
        return self.shape[0] * self.shape[1]

    @property
    def q(self) -> Floats:
        """Centres (P, 2) of the cells in Å⁻¹, horizontal axis slowest."""
        lines = (
            (first + np.arange(n) + 0.5) * step
            for first, n, step in zip(self.first, self.shape, self.step, strict=True)
        )
        return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)

    def edges(self, twin: Twin) -> tuple[Floats, Floats]:
        """Compute the edges of the cells in r.l.u. along the two axes."""
        h, k = (
            np.asarray((first + np.arange(n + 1)) * (step * length / (2 * np.pi)), dtype=np.float64)
            for first, n, step, length in zip(self.first, self.shape, self.step, twin.lengths, strict=True)
        )
        return h, k


def make_plane(
    twin: Twin,
    translations: Floats,
    ends: tuple[tuple[float, float], tuple[float, float]],
    grid: int,
) -> Plane:
    """Lay the grid over ``ends`` (Å⁻¹, from and to along both axes) with 2·``grid`` cells per r.l.u.

    Cells lie in half steps about Q = 0, so that zero modes are not hit. ``translations`` (m, 3) are the cells
    that bonds lead to (Å): where their components along an axis have a common measure, the spin waves are
    periodic along it, the cells divide that period and only one period is solved.
    """
    periods = [period(translations @ axis) for axis in twin.axes[:2]]
    step, first, number = [], [], []
    for p, (low, high), length in zip(periods, ends, twin.lengths, strict=True):
        unit = 2 * np.pi / length
        size = unit / (2 * grid)
        if p:
            size = p / max(round(p / size), 4)
        step.append(float(size))
        first.append(int(np.floor(low / size)) - 1)
        number.append(int(np.ceil(high / size)) + 1 - first[-1])
    if number[0] * number[1] > MAX_POINTS:
        raise Exp2SimError(
            f"These bins need {number[0]} × {number[1]} points of the (h, k) grid.",
            reason=f"At most {MAX_POINTS} are taken.",
            fix="Choose a smaller range of h and k, or a smaller grid.",
        )
    lines = (start + np.arange(n) for start, n in zip(first, number, strict=True))
    folded = np.stack(np.meshgrid(*lines, indexing="ij")).reshape(2, -1)
    if all(periods):
        folded = folded % np.array([[round(p / s)] for p, s in zip(periods, step, strict=True)])
    wide = int(folded[1].max() - folded[1].min()) + 1
    code = (folded[0] - folded[0].min()) * wide + folded[1] - folded[1].min()
    _, where, row = np.unique(code, return_index=True, return_inverse=True)
    solved = (folded[:, where].T + 0.5) * np.array(step)
    return Plane((first[0], first[1]), (number[0], number[1]), (step[0], step[1]), solved, row.reshape(-1))


def period(components: Floats, *, tolerance: float = 1e-6) -> float:
    """Find the period in Å⁻¹ of exp(i q x) for all ``components`` x in Å; 0 without a common measure.

    >>> round(period(np.array([2.0, 3.0, 0.0])) / (2 * np.pi), 9)
    1.0
    """
    lengths = np.unique(np.round(np.abs(components), 9))
    lengths = lengths[lengths > tolerance]
    if not lengths.size:
        return 0.0
    ratios = [Fraction(float(x / lengths[0])).limit_denominator(48) for x in lengths]
    if any(abs(float(r) - x / lengths[0]) > tolerance for r, x in zip(ratios, lengths, strict=True)):
        return 0.0
    below = lcm(*(r.denominator for r in ratios))
    measure = gcd(*(int(r * below) for r in ratios))
    return float(2 * np.pi / (lengths[0] * measure / below))
