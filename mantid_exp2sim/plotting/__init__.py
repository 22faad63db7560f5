"""Pictures of histograms, drawn without a display.

`plot` draws one histogram whatever its number of axes, `compare` several beside each other on one colour
scale. Both return a `matplotlib.figure.Figure` and write it if a path is given; pyplot is never used, so
both work in threads and servers. Bins that were not measured are grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.histogram.axis import usual_unit
from mantid_exp2sim.mosaic import is_mosaic
from mantid_exp2sim.plotting.cuts import draw_lines, draw_maps, draw_slices
from mantid_exp2sim.plotting.mosaic import draw_mosaics
from mantid_exp2sim.plotting.style import PathLike, cut, finish, new_figure


def plot(
    histogram: Histogram,
    path: PathLike | None = None,
    *,
    title: str | None = None,
    vmax: float | None = None,
) -> Figure:
    """Draw one histogram: a line with error bars, a map, slices of a volume, or the panels of a mosaic.

    Axes of one bin are left out and named in the title; of four or more axes the middle bin of the first
    ones is taken.

    Parameters
    ----------
    histogram
        What to draw.
    path
        Where to write the picture; the ending says how (.png, .pdf, .svg).
    title
        Title; by default what the histogram's metadata say.
    vmax
        Upper end of the colour scale, positive; by default the 99.5 % quantile of the intensity. That of a
        mosaic, whose panels differ much, goes with the square root.

    Examples
    --------
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> figure = plot(mosaic_histogram(np.ones((240, 400))))
    >>> len(figure.axes)  # the picture and its colour bar
    2
    """
    text = str(histogram.metadata.get("title", "")) if title is None else title
    return finish(_figure({text: histogram}, vmax), path)


def compare(
    histograms: Mapping[str, Histogram],
    path: PathLike | None = None,
    *,
    title: str = "",
    vmax: float | None = None,
) -> Figure:
    """Draw several histograms of the same kind on one scale, under their names: before, after, truth.

    Lines share one frame, maps and mosaics stand side by side, volumes take a row of slices each.

    Raises
    ------
    Exp2SimError
        If there is none, or their numbers of axes, or what the axes measure and its unit, differ.

    Examples
    --------
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> h = mosaic_histogram(np.ones((240, 400)))
    >>> len(compare({"before": h, "after": h}, title="Nothing happened").axes)
    3
    """
    if not histograms:
        raise Exp2SimError("There is nothing to draw together.", fix="Give one histogram at least.")
    kinds = {name: _measures(h) for name, h in histograms.items()}
    if len(set(kinds.values())) != 1:
        raise Exp2SimError(
            f"{len(histograms)} histograms of {len(set(kinds.values()))} different kinds cannot be drawn "
            "together.",
            reason="; ".join(f"{name}: {' × '.join(kind)}" for name, kind in kinds.items()) + ".",
            fix="Draw each one alone, or cut them to the same axes.",
        )
    figure = _figure(histograms, vmax)
    if title:
        figure.suptitle(title, fontsize=13)
    return finish(figure, path)


def ridges(distances: Mapping[str, Any], path: PathLike | None = None, *, title: str = "") -> Figure:
    """Draw distributions of distances (name → 1D array) above each other, on one scale: a ridge plot.

    >>> figure = ridges({"training": np.arange(9.0), "new": np.arange(9.0) + 5})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['training', 'new']
    """
    figure = new_figure(6.4, 0.9 * len(distances) + 1.4)
    axes = figure.add_subplot()
    everything = np.concatenate([np.asarray(values, dtype=float) for values in distances.values()])
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, max(high, low + 1e-9), 61)
    for height, values in enumerate(distances.values()):
        density = np.histogram(values, edges)[0].astype(float)
        outline = height + 0.9 * np.append(density, density[-1]) / max(density.max(), 1.0)
        axes.fill_between(edges, height, outline, step="post", alpha=0.6, color=f"C{height}")
        axes.plot([np.median(values)] * 2, [height, height + 0.9], color="0.2", linewidth=1)
    axes.set_yticks(range(len(distances)), list(distances))
    axes.set_xlabel("transport distance of 20 feature points to 20 of the training set")
    axes.set_title(title)
    return finish(figure, path)


def _measures(histogram: Histogram) -> tuple[str, ...]:
    """What the axes that are drawn measure, with their units, in words."""
    if is_mosaic(histogram):
        return ("mosaic",)
    return tuple(f"{axis.kind or axis.name} ({_usual_unit(axis)})" for axis in cut(histogram)[0].axes)


def _usual_unit(axis: Axis) -> str:
    """One word for what files write in several ways, or leave out."""
    unit = usual_unit(axis.unit)
    if axis.kind == "energy" and unit in ("", "DeltaE"):
        return "meV"
    return unit or ("r.l.u." if axis.kind in ("h", "k", "l") else "no unit")


def _figure(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    if vmax is not None and not 0 < vmax < float("inf"):
        raise Exp2SimError(
            f"The upper end of the colour scale is {vmax:g}.",
            reason="It takes a positive number.",
            fix="Leave it out (--vmax): the data choose it.",
        )
    first = next(iter(histograms.values()))
    if is_mosaic(first):
        return draw_mosaics(histograms, vmax)
    parts = {}
    for name, histogram in histograms.items():
        part, notes = cut(histogram)
        parts["\n".join(line for line in (name, notes) if line)] = part
    draw = {1: draw_lines, 2: draw_maps}.get(len(cut(first)[0].axes), draw_slices)
    return draw(parts, vmax)
