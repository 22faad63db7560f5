"""What is looked at, without Qt: slices of volumes, cuts through them, difference and ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.interface.session import PARTS, Part, Session
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, is_mosaic, split

Show = Literal["all parts", "before and after", "difference", "ratio"]
SHOWS: tuple[Show, ...] = ("all parts", "before and after", "difference", "ratio")
Scale = Literal["linear", "square root", "logarithm"]
SCALES: tuple[Scale, ...] = ("linear", "square root", "logarithm")
Colours = Literal["intensity", "signed", "ratio"]
TITLES: dict[Part, str] = {
    "before": "before",
    "after": "after",
    "removed": "background",
    "residual": "residual",
}
Box = tuple[float, float, float, float]
"""Low and high of the horizontal axis, then of the vertical one, in the axes' units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How data are looked at.

    ``across`` and ``up`` are positions of the axes of a picture (``up`` None: a line), ``bins`` the bin on
    every axis, of which those of the others count, ``volume`` the number of the incident energy of a mosaic.
    ``low`` and ``high`` end the colour scale, None: the data choose. ``box`` is the range of a cut.
    """

    across: int = 0
    up: int | None = None
    bins: tuple[int, ...] = ()
    volume: int = 0
    show: Show = "all parts"
    scale: Scale = "linear"
    low: float | None = None
    high: float | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A picture or line under its title; ``colours`` says whether values below 0 (or 1) are as good."""

    title: str
    data: Histogram
    colours: Colours = "intensity"


def volumes(histogram: Histogram) -> tuple[Histogram, ...]:
    """Return the volumes of a mosaic, or other data as they are."""
    return split(histogram) if is_mosaic(histogram) else (histogram,)


def first_view(histogram: Histogram) -> View:
    """Choose the axes to look at: the first two with more than one bin, energy upwards, all in the middle.

    >>> axes = [Axis("DeltaE", np.arange(4.0), unit="meV"), Axis("[H,0,0]", np.arange(3.0))]
    >>> view = first_view(Histogram.from_arrays(np.ones((3, 2)), axes))
    >>> view.across, view.up, view.bins
    (1, 0, (1, 1))
    """
    volume = volumes(histogram)[0]
    places = [i for i, axis in enumerate(volume.axes) if axis.size > 1] or [0]
    pair = sorted(places[:2], key=lambda i: (volume.axes[i].kind == "energy", i))
    up = pair[1] if len(pair) > 1 else None
    middle = len(INCIDENT_ENERGIES) // 2 if is_mosaic(histogram) else 0
    return View(
        across=pair[0], up=up, bins=tuple(axis.size // 2 for axis in volume.axes), volume=middle,
        scale="square root" if is_mosaic(histogram) else "linear",
    )  # fmt: skip


def with_axes(view: View, across: int, up: int | None) -> View:
    """Exchange the axes of a picture: an axis that is asked for twice swaps its place. The cut goes.

    >>> swapped = with_axes(View(across=0, up=1), 1, 1)
    >>> swapped.across, swapped.up
    (1, 0)
    """
    if across == up:
        if across != view.across:
            up = view.across
        elif view.up is not None:
            across = view.up
    return replace(view, across=across, up=up, box=None)


def sliders(histogram: Histogram, view: View) -> tuple[int, ...]:
    """Return the positions of the axes that are not in the picture and have more than one bin."""
    axes = volumes(histogram)[0].axes
    return tuple(i for i, axis in enumerate(axes) if i not in (view.across, view.up) and axis.size > 1)


def place_words(axis: Axis, number: int) -> str:
    """Say which range a bin covers.

    >>> place_words(Axis("DeltaE", np.array([0.0, 1.5, 3.0]), unit="meV"), 1)
    '1.5 to 3 meV'
    """
    low, high = axis.edges[number], axis.edges[number + 1]
    return f"{low:.4g} to {high:.4g} {axis.unit}".strip()


def slice_of(volume: Histogram, view: View) -> Histogram:
    """Return the picture or line of a volume: axes ``across`` and ``up`` in this order."""
    ends = [view.across] if view.up is None else [view.across, view.up]
    place = tuple(slice(None) if i in ends else view.bins[i] for i in range(volume.ndim))
    order = [sorted(ends).index(i) for i in ends]
    axes = tuple(volume.axes[i] for i in ends)
    unit = volume.metadata.get("intensity_unit")
    metadata = {} if unit is None else {"intensity_unit": unit}
    return Histogram(
        np.transpose(volume.intensity[place], order),
        np.transpose(volume.variance[place], order),
        np.transpose(volume.mask[place], order),
        axes,
        metadata,
    )


def panels(session: Session, view: View) -> tuple[Panel, ...]:
    """Return the pictures of the data that are looked at; what was not computed is left out."""
    parts = {name: session.part(name) for name in PARTS}
    slices = {
        name: slice_of(volumes(histogram)[view.volume], view)
        for name, histogram in parts.items()
        if histogram is not None
    }
    if view.show in ("difference", "ratio") and "after" in slices:
        return (_compared(view.show, slices["before"], slices["after"]),)
    names = PARTS if view.show == "all parts" else PARTS[:2]
    return tuple(
        Panel(TITLES[name], slices[name], "signed" if name == "residual" else "intensity")
        for name in names
        if name in slices
    )


def _compared(show: Show, before: Histogram, after: Histogram) -> Panel:
    """Return after − before or after / before; its errors are not known, since both hold the same noise."""
    if show == "difference":
        values, title = after.intensity - before.intensity, "after − before"
    else:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values, title = after.intensity / before.intensity, "after / before"
        values = np.where(before.intensity > 0, values, np.nan)
    unit = {} if show == "ratio" else before.metadata
    data = Histogram.from_arrays(values, before.axes, metadata=unit)
    return Panel(title, data, "signed" if show == "difference" else "ratio")


def cuts(shown: Sequence[Panel], box: Box) -> tuple[dict[str, Histogram], dict[str, Histogram]]:
    """Return cuts through pictures: along the horizontal axis and along the vertical one, inside the box.

    Each is the mean over the box along the other axis. Panels without a measured bin there are left out.

    Raises
    ------
    Exp2SimError
        If the box holds no bin.
    """
    return _cuts(shown, box[:2], box[2:]), _cuts(shown, box[2:], box[:2], along=1)


def _cuts(
    shown: Sequence[Panel], length: Sequence[float], width: Sequence[float], along: int = 0
) -> dict[str, Histogram]:
    lines = {}
    for panel in shown:
        axes = panel.data.axes
        names = axes[along].name, axes[1 - along].name
        line = panel.data.cut({names[1]: _inside(axes[1 - along], width)})
        lines[panel.title] = line.cut({names[0]: _inside(axes[along], length)}, keep=True)
    return lines


def _inside(axis: Axis, ends: Sequence[float]) -> tuple[float, float]:
    """Return the edges of the bins that a range touches: a cut shows whole bins."""
    low, high = min(ends), max(ends)
    first = int(np.clip(np.searchsorted(axis.edges, low, "right") - 1, 0, axis.size - 1))
    last = int(np.clip(np.searchsorted(axis.edges, high, "left"), first + 1, axis.size))
    if high <= axis.edges[0] or low >= axis.edges[-1]:
        raise Exp2SimError("The box lies beside the data.", fix="Drag it over the picture.")
    return float(axis.edges[first]), float(axis.edges[last])
