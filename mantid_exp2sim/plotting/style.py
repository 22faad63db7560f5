"""What all pictures share: figure, labels, colours, and what is left out of a histogram to draw it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM, usual_unit
from mantid_exp2sim.histogram.projection import integrated_axes
from mantid_exp2sim.mosaic import is_mosaic
from mantid_exp2sim.storage.atomic import atomic_path

RATIO = "Ratio"
"""The quantity of a histogram that has no unit."""
MASKED = "0.72"
"""Grey of bins that were not measured."""
DPI = 150
PathLike = str | os.PathLike[str]
_GREEK = {"xi": "ξ", "eta": "η", "zeta": "ζ"}


@dataclass(frozen=True, slots=True)
class Look:
    """The scale of the intensity: its ends, in the data's unit, and whether it is logarithmic."""

    vmin: float | None = None
    vmax: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        """Validate the ends."""
        if self.vmin is not None and not np.isfinite(self.vmin):
            raise _no_scale(f"The lower end of the colour scale is {self.vmin:g}.", "It takes a number.")
        if self.vmax is not None and not (self.vmin or 0.0) < self.vmax < float("inf"):
            reason = f"The lower one is {self.vmin:g}." if self.vmin else "It takes a positive number."
            raise _no_scale(f"The upper end of the colour scale is {self.vmax:g}.", reason)
        if self.log and self.vmin is not None and self.vmin <= 0:
            raise _no_scale(
                f"A logarithmic scale cannot begin at {self.vmin:g}.", "It takes a positive number."
            )


def _no_scale(summary: str, reason: str) -> Exp2SimError:
    fix = "Leave it out (--vmin, --vmax): the data choose it."
    return Exp2SimError(summary, reason=reason, fix=fix)


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


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes lie in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def cut(histogram: Histogram) -> tuple[Histogram, str]:
    """Leave out axes of one bin, and all but three of the others; say what was done."""
    keep = [i for i, axis in enumerate(histogram.axes) if axis.size > 1] or [histogram.ndim - 1]
    keep = keep[-3:]
    notes, where = [words_of(axis) for axis in integrated_axes(histogram)], []
    for i, axis in enumerate(histogram.axes):
        middle = axis.size // 2
        where.append(slice(None) if i in keep else middle)
        if i not in keep:
            notes.append(words_of(axis, middle))
    if len(keep) == histogram.ndim:
        return histogram, ", ".join(notes)
    index = tuple(where)
    axes = tuple(histogram.axes[i] for i in keep)
    part = Histogram(
        histogram.intensity[index], histogram.variance[index], histogram.mask[index], axes, histogram.metadata
    )
    return part, ", ".join(notes)


def range_words(low: float, high: float) -> str:
    """Write a range of numbers; what rounding leaves of 0 is 0.

    >>> range_words(-1.388e-16, 0.05)
    '0 to 0.05'
    """
    smallest = 1e-9 * max(abs(low), abs(high), abs(high - low))
    return " to ".join(f"{0.0 if abs(value) <= smallest else value:.4g}" for value in (low, high))


def words_of(axis: Axis, place: int = 0) -> str:
    """Write the range of one bin of an axis, with its name and unit."""
    words = range_words(float(axis.edges[place]), float(axis.edges[place + 1]))
    return f"{axis_name(axis)} {words} {unit_words(axis)}".rstrip()


def axis_name(axis: Axis) -> str:
    r"""Write the name of an axis as people write it.

    >>> axis_name(Axis(r"Q_\xi", np.array([0.0, 1.0]))), axis_name(Axis("DeltaE", np.array([0.0, 1.0])))
    ('Qξ', 'Energy transfer')
    """
    name = axis.label or axis.name
    if not axis.label and axis.kind == "energy":
        return "Energy transfer"
    return re.sub(r"_?\\(xi|eta|zeta)\b", lambda match: _GREEK[match[1]], name)


def unit_words(axis: Axis) -> str:
    """Write the unit of an axis as people write it.

    >>> unit_words(Axis("|Q|", np.array([0.0, 1.0]), "Angstrom^-1"))
    'Å⁻¹'
    """
    unit = usual_unit(axis.unit)
    if axis.kind == "energy" and unit in ("", "DeltaE"):
        return "meV"
    return "Å⁻¹" if unit == INVERSE_ANGSTROM else unit


def axis_label(axis: Axis) -> str:
    """Return the label of an axis, with its unit."""
    unit = unit_words(axis)
    return f"{axis_name(axis)} ({unit})" if unit else axis_name(axis)


def intensity_label(histograms: Mapping[str, Histogram]) -> str:
    """Return the label of the intensity, with its unit."""
    metadata = next(iter(histograms.values())).metadata
    unit, quantity = metadata.get("intensity_unit"), str(metadata.get("quantity", "Intensity"))
    if quantity == RATIO:
        return quantity
    return f"{quantity} ({unit})" if unit else f"{quantity} (units of the data)"


def colour_scale(histograms: Mapping[str, Histogram], look: Look) -> Normalize:
    """Return one scale for all: from 0, or the lowest values if negative, to nearly the highest."""
    values = np.concatenate([h.intensity[~h.mask] for h in histograms.values()])
    if values.size == 0:
        raise Exp2SimError("There is nothing to draw: every bin is masked.", fix="Look at the mask.")
    if look.log:
        return _log_scale(values, look)
    if all(_is_signed(h) for h in histograms.values()):
        size = float(np.quantile(np.abs(values), 0.995)) or 1.0
        top = size if look.vmax is None else look.vmax
        return Normalize(-top if look.vmin is None else look.vmin, top)
    low, high = np.quantile(values, [0.005, 0.995])
    top = float(high) if look.vmax is None else look.vmax
    if all(is_mosaic(h) for h in histograms.values()) and look.vmin is None:
        return PowerNorm(0.5, 0.0, float(top) if top > 0 else 1.0)
    bottom = min(0.0, float(low)) if look.vmin is None else look.vmin
    return Normalize(bottom, float(top) if top > bottom else bottom + 1.0)


def _log_scale(values: Floats, look: Look) -> Normalize:
    positive = values[values > 0]
    if positive.size == 0:
        raise Exp2SimError(
            "There is nothing to draw on a logarithmic scale.",
            reason="No intensity is above 0.",
            fix="Draw it without --log.",
        )
    low, high = np.quantile(positive, [0.01, 0.995])
    top = float(high) if look.vmax is None else look.vmax
    bottom = min(float(low), top / 10) if look.vmin is None else look.vmin
    return LogNorm(bottom, max(top, 1.001 * bottom))


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
    kinds = ((PowerNorm, ", square-root colour scale"), (LogNorm, ", logarithmic"))
    kind = next((words for norm, words in kinds if isinstance(image.norm, norm)), "")
    bar.set_label(intensity_label(histograms) + kind)
