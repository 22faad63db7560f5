"""What all pictures share: figure, labels, colours, and what is left out of a histogram to draw it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.mosaic import is_mosaic
from mantid_exp2sim.storage.atomic import atomic_path

MASKED = "0.72"
"""Grey of bins that were not measured."""
DPI = 150
PathLike = str | os.PathLike[str]


def finish(figure: Figure, path: PathLike | None) -> Figure:
    """Write a picture if a path is given; return it."""
    if path is not None:
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=DPI)
        except Exp2SimError:
            raise
        except ValueError as error:
            raise Exp2SimError(f"{path} cannot be drawn: {error}.", fix="Let it end in .png.") from error
    return figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure that needs no display; width and height in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def cut(histogram: Histogram) -> tuple[Histogram, str]:
    """Leave out axes of one bin, and all but three of the others; say what was done."""
    keep = [i for i, axis in enumerate(histogram.axes) if axis.size > 1] or [histogram.ndim - 1]
    keep = keep[-3:]
    notes, where = [], []
    for i, axis in enumerate(histogram.axes):
        middle = axis.size // 2
        where.append(slice(None) if i in keep else middle)
        if i not in keep:
            low, high = axis.edges[middle], axis.edges[middle + 1]
            notes.append(f"{axis.label or axis.name} {range_words(low, high)} {axis.unit}".rstrip())
    if not notes:
        return histogram, ""
    index = tuple(where)
    axes = tuple(histogram.axes[i] for i in keep)
    part = Histogram(
        histogram.intensity[index], histogram.variance[index], histogram.mask[index], axes, histogram.metadata
    )
    return part, ", ".join(notes)


def range_words(low: float, high: float) -> str:
    """Write a range of numbers."""
    return f"{low:.4g} to {high:.4g}"


def axis_label(axis: Axis) -> str:
    """Return the label of an axis, with its unit."""
    name = axis.label or axis.name
    return f"{name} ({axis.unit})" if axis.unit else name


def intensity_label(histograms: Mapping[str, Histogram]) -> str:
    """Return the label of the intensity, with its unit."""
    unit = next(iter(histograms.values())).metadata.get("intensity_unit")
    return f"Intensity ({unit})" if unit else "Intensity (units of the data)"


def colour_scale(histograms: Mapping[str, Histogram], vmax: float | None) -> Normalize:
    """Return one scale for all: from 0, or the lowest values if negative, to nearly the highest."""
    values = np.concatenate([h.intensity[~h.mask] for h in histograms.values()])
    if values.size == 0:
        raise Exp2SimError("There is nothing to draw: every bin is masked.", fix="Look at the mask.")
    if all(_is_signed(h) for h in histograms.values()):
        size = float(np.quantile(np.abs(values), 0.995)) if vmax is None else vmax
        return Normalize(-size, size) if size > 0 else Normalize(-1.0, 1.0)
    low, high = np.quantile(values, [0.005, 0.995])
    top = high if vmax is None else vmax
    if all(is_mosaic(h) for h in histograms.values()):
        return PowerNorm(0.5, 0.0, float(top) if top > 0 else 1.0)
    bottom = min(0.0, float(low))
    return Normalize(bottom, float(top) if top > bottom else bottom + 1.0)


def _is_signed(histogram: Histogram) -> bool:
    """Whether the intensity is as good below 0 as above, such as a map of what speaks for and against."""
    return histogram.metadata.get("signed") is True


def colour_map(histogram: Histogram) -> Colormap:
    """Return the colours of a histogram, grey where it was not measured."""
    return colormaps["RdBu_r" if _is_signed(histogram) else "viridis"].with_extremes(bad=MASKED)


def add_colour_bar(
    figure: Figure, image: Any, axes: Sequence[Axes], histograms: Mapping[str, Histogram], size: float = 30
) -> None:
    """Add the colour bar of an image, with arrows where values lie beyond its ends."""
    lowest = min(float(np.min(h.intensity[~h.mask], initial=np.inf)) for h in histograms.values())
    highest = max(float(np.max(h.intensity[~h.mask], initial=-np.inf)) for h in histograms.values())
    below, above = lowest < image.norm.vmin, highest > image.norm.vmax
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    bar = figure.colorbar(image, ax=list(axes), extend=extend, aspect=size, pad=0.015)
    root = ", square-root colour scale" if isinstance(image.norm, PowerNorm) else ""
    bar.set_label(intensity_label(histograms) + root)
