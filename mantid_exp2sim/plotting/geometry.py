"""Maps of reciprocal space in their own geometry: axes at their angle, a unit of each as long as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.histogram.axis import Floats, usual_unit
from mantid_exp2sim.histogram.projection import CELL
from mantid_exp2sim.io.horace.image import b_matrix

_RIGHT_ANGLE = 1e-6
"""Cosine below which two axes count as normal to each other."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How two axes of a map lie: length of a unit of the second over one of the first, cosine of their angle.

    >>> hexagonal = Frame(1.0, 0.5)
    >>> x, y = hexagonal.place(np.array([0.0]), np.array([1.0]))
    >>> [round(float(v), 3) for v in (*x, *y)]
    [0.5, 0.866]
    """

    ratio: float
    cosine: float

    @property
    def is_oblique(self) -> bool:
        """Whether the axes are not normal to each other."""
        return abs(self.cosine) > _RIGHT_ANGLE

    def place(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """Where points lie in the picture, in units of the first axis."""
        sine = float(np.sqrt(1 - self.cosine**2))
        return first + self.ratio * self.cosine * second, self.ratio * sine * second

    def shape(self, first: Axis, second: Axis) -> float:
        """Height of the map over its width."""
        x, y = self.place(*_corners(first, second))
        return float(np.ptp(y) / np.ptp(x))


def frame_of(histogram: Histogram, first: Axis, second: Axis) -> Frame | None:
    """Return how two axes lie in reciprocal space, or None where they are not both directions in it.

    Of a lattice that is not known, a unit of both is equally long, and the axes are normal to each other.

    >>> from mantid_exp2sim.histogram import Histogram
    >>> names = ("[H,0,0]", "[0,K,0]")
    >>> axes = [Axis(name, np.array([0.0, 1.0]), "r.l.u.", "HKL") for name in names]
    >>> cell = dict(zip(CELL, (3.0, 3.0, 5.0, 90.0, 90.0, 120.0)))
    >>> h = Histogram.from_arrays([[1.0]], axes, metadata={"lattice": cell})
    >>> round(frame_of(h, *axes).cosine, 6)
    0.5
    """
    if usual_unit(first.unit) != usual_unit(second.unit) or None in (first.direction, second.direction):
        return None
    cell = histogram.metadata.get("lattice")
    if usual_unit(first.unit) != "r.l.u." or not isinstance(cell, dict) or not set(CELL) <= set(cell):
        return Frame(1.0, 0.0)
    constants = np.array([float(cell[name]) for name in CELL])
    one, other = (b_matrix(constants[:3], constants[3:]) @ np.array(a.direction) for a in (first, second))
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    return Frame(lengths[1] / lengths[0], float(one @ other) / (lengths[0] * lengths[1]))


def draw_oblique(
    axes: Axes,
    frame: Frame,
    first: Axis,
    second: Axis,
    values: Floats,
    *,
    labels: Sequence[str],
    **style: Any,
) -> Any:
    """Draw a map (second, first) whose axes are not normal, with its own ticks along two of its edges.

    ``labels`` are the names of the axes, empty for none.
    """
    grid = np.meshgrid(first.edges, second.edges)
    image = axes.pcolormesh(*frame.place(*grid), values, rasterized=True, **style)
    axes.set_aspect("equal")
    axes.set_axis_off()
    outline = frame.place(*_corners(first, second))
    axes.fill(*outline, facecolor="none", edgecolor="0.2", linewidth=0.8)
    _ticks(axes, frame, first, second, labels[0], along_first=True)
    _ticks(axes, frame, first, second, labels[1], along_first=False)
    return image


def _corners(first: Axis, second: Axis) -> tuple[Floats, Floats]:
    a, b = first.edges[[0, -1]], second.edges[[0, -1]]
    return a[[0, 1, 1, 0]], b[[0, 0, 1, 1]]


def _ticks(axes: Axes, frame: Frame, first: Axis, second: Axis, label: str, *, along_first: bool) -> None:
    """Write the numbers of one axis along the lower or the left edge, and its name beyond them."""
    axis = first if along_first else second
    low, high = float(axis.edges[0]), float(axis.edges[-1])
    numbers = [v for v in MaxNLocator(5).tick_values(low, high) if low - 1e-9 <= v <= high + 1e-9]
    offset, align = ((0, -4), ("center", "top")) if along_first else ((-4, 0), ("right", "center"))
    size = 9 if label else 7
    for number in numbers:
        at = _on_edge(frame, first, second, number, along_first=along_first)
        axes.annotate(
            f"{number:.4g}", at, offset, textcoords="offset points",
            ha=align[0], va=align[1], fontsize=size, annotation_clip=False,
        )  # fmt: skip
        axes.plot(*at, marker="|" if along_first else "_", color="0.2", markersize=5, clip_on=False)
    if label:
        middle = _on_edge(frame, first, second, 0.5 * (low + high), along_first=along_first)
        angle = 0.0 if along_first else float(np.degrees(np.arccos(frame.cosine)))
        away, below = ((0, -18), "top") if along_first else ((-34, 0), "center")
        axes.annotate(
            label, middle, away, textcoords="offset points", ha="center", va=below, rotation=angle,
            annotation_clip=False,
        )  # fmt: skip


def _on_edge(
    frame: Frame, first: Axis, second: Axis, number: float, *, along_first: bool
) -> tuple[float, float]:
    edge = float((second if along_first else first).edges[0])
    pair = (number, edge) if along_first else (edge, number)
    x, y = frame.place(np.array(pair[0]), np.array(pair[1]))
    return float(x), float(y)
