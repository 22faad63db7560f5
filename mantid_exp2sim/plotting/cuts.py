"""Pictures of lines, maps and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.plotting.geometry import draw_oblique, frame_of
from mantid_exp2sim.plotting.style import (
    MASKED,
    Look,
    add_colour_bar,
    axis_label,
    axis_name,
    colour_map,
    colour_scale,
    figure_of,
    intensity_label,
    new_figure,
    range_words,
    unit_words,
)

MAX_SLICES = 12


def draw_lines(histograms: Mapping[str, Histogram], look: Look, axes: Axes | None = None) -> Figure:
    """Draw 1D histograms in one frame, with error bars; ``axes``: a frame that is there already."""
    axes = new_figure(7, 4.5).subplots() if axes is None else axes
    for name, histogram in histograms.items():
        axis = histogram.axes[0]
        errors = np.sqrt(np.where(histogram.variance > 0, histogram.variance, np.nan))
        style: dict[str, Any] = {"fmt": "o-", "markersize": 3.5, "linewidth": 0.9, "capsize": 2}
        axes.errorbar(
            axis.centres,
            histogram.intensity,  # NaN breaks the line
            yerr=errors if np.nansum(errors) > 0 else None,
            label=name,
            **style,
        )
    first = next(iter(histograms.values()))
    edges = first.axes[0].edges
    for i in np.flatnonzero(first.mask):
        axes.axvspan(edges[i], edges[i + 1], color=MASKED, linewidth=0)
    axes.set(xlabel=axis_label(first.axes[0]), ylabel=intensity_label(histograms), xlim=(edges[0], edges[-1]))
    if look.log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(look.vmin, look.vmax)
    if len(histograms) > 1:
        axes.legend(frameon=False)
    else:
        axes.set_title(next(iter(histograms)), fontsize=11)
    return figure_of(axes)


def _map(axes: Axes, histogram: Histogram, scale: Normalize, *, is_labelled: bool = True) -> Any:
    """Draw a 2-D histogram in the geometry of its axes."""
    values = np.ma.masked_invalid(histogram.intensity)
    first, second = _directions(histogram.axes)
    x, y = histogram.axes[first], histogram.axes[second]
    upwards = values.T if first < second else values
    style: dict[str, Any] = {"norm": scale, "cmap": colour_map(histogram)}
    frame = frame_of(histogram, x, y)
    if frame is not None and frame.is_oblique:
        labels = [axis_label(axis) if is_labelled else "" for axis in (x, y)]
        return draw_oblique(axes, frame, x, y, upwards, labels=labels, **style)
    image = axes.pcolormesh(x.edges, y.edges, upwards, rasterized=True, **style)
    if frame is not None:
        axes.set_aspect(frame.ratio)
    return image


def _directions(axes: Sequence[Axis]) -> tuple[int, int]:
    """Energy goes upwards; otherwise the first axis goes to the right."""
    return (1, 0) if axes[0].kind == "energy" else (0, 1)


def draw_maps(histograms: Mapping[str, Histogram], look: Look, axes: Axes | None = None) -> Figure:
    """Draw 2D histograms side by side; ``axes``: a frame that is there already, for one of them."""
    count = len(histograms)
    if axes is None:
        row = list(new_figure(1.2 + 5 * count, 4.6).subplots(1, count, squeeze=False)[0])
    else:
        row = [axes]
    figure, scale = figure_of(row[0]), colour_scale(histograms, look)
    for place, (frame, (name, histogram)) in enumerate(zip(row, histograms.items(), strict=True)):
        image = _map(frame, histogram, scale)
        first, second = _directions(histogram.axes)
        frame.set_title(name, fontsize=11)
        frame.set_xlabel(axis_label(histogram.axes[first]))
        if place == 0:
            frame.set_ylabel(axis_label(histogram.axes[second]))
    add_colour_bar(figure, image, row, histograms)
    return figure


def draw_slices(histograms: Mapping[str, Histogram], look: Look) -> Figure:
    """Draw one row of slices for each histogram, or a grid of them for one."""
    along = next((i for i in range(3) for h in histograms.values() if h.axes[i].kind == "energy"), 2)
    size = min(h.axes[along].size for h in histograms.values())
    bins = np.unique(np.linspace(0, size - 1, min(size, MAX_SLICES)).round().astype(int))
    is_single = len(histograms) == 1
    columns = _columns(len(bins)) if is_single else len(bins)
    rows = int(np.ceil(len(bins) / columns)) if is_single else len(histograms)
    first_part = _slice(next(iter(histograms.values())), along, 0)
    figure = new_figure(1.4 + 1.9 * columns, 0.9 + (0.25 + 1.9 * _shape(first_part)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    scale = colour_scale(histograms, look)
    flat = list(grid.flat)
    for row, (name, histogram) in enumerate(histograms.items()):
        axis = histogram.axes[along]
        for place, i in enumerate(bins):
            axes = flat[place] if is_single else grid[row, place]
            part = _slice(histogram, along, int(i))
            image = _map(axes, part, scale, is_labelled=False)
            text = f"{range_words(axis.edges[i], axis.edges[i + 1])} {unit_words(axis)}"
            axes.set_title(text, fontsize=8)
            axes.tick_params(labelsize=7)
        if not is_single:
            grid[row, 0].annotate(
                name,
                (-0.45, 0.5),
                xycoords="axes fraction",
                rotation=90,
                va="center",
                ha="right",
                fontsize=11,
            )
    for place, axes in enumerate(flat if is_single else []):
        axes.set_visible(place < len(bins))
        axes.tick_params(labelbottom=place + columns >= len(bins))
    first, second = _directions(part.axes)
    figure.supxlabel(axis_label(part.axes[first]), fontsize=10)
    figure.supylabel(axis_label(part.axes[second]), fontsize=10)
    share = "" if len(bins) == size else f" ({len(bins)} of {size} bins)"
    lines = [next(iter(histograms)) if is_single else "", f"slices along {axis_name(axis)}{share}"]
    figure.suptitle("\n".join(line for line in lines if line), fontsize=11)
    add_colour_bar(figure, image, flat, histograms)
    return figure


def _columns(count: int) -> int:
    """Columns of a grid of slices: 4 to 6, with full rows where that can be."""
    return count if count <= 4 else next((n for n in (5, 4, 6) if count % n == 0), 5)


def _shape(histogram: Histogram) -> float:
    """Height of a frame over its width."""
    first, second = (histogram.axes[place] for place in _directions(histogram.axes))
    frame = frame_of(histogram, first, second)
    return 0.9 if frame is None else float(np.clip(frame.shape(first, second), 0.5, 1.5))


def _slice(histogram: Histogram, along: int, i: int) -> Histogram:
    index = tuple(i if axis == along else slice(None) for axis in range(histogram.ndim))
    axes = tuple(axis for n, axis in enumerate(histogram.axes) if n != along)
    parts = histogram.intensity[index], histogram.variance[index], histogram.mask[index]
    return Histogram(*parts, axes, histogram.metadata)
