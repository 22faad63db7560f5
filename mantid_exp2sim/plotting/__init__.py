"""Pictures of histograms, drawn without a display.

`plot` draws one histogram whatever its number of axes, `compare` several beside each other on one colour
scale. Both return a `matplotlib.figure.Figure` and write it if a path is given; pyplot is never used, so
both work in threads and servers. Bins that were not measured are grey.
"""

from __future__ import annotations

import itertools
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
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, PANEL, SHAPE, WINDOW_EDGES, WINDOWS, is_mosaic
from mantid_exp2sim.storage.atomic import atomic_path

MASKED = "0.72"
MAX_SLICES = 12
DPI = 150
PathLike = str | os.PathLike[str]


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
    return _finish(_figure({text: histogram}, vmax), path)


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
    return _finish(figure, path)


def _measures(histogram: Histogram) -> tuple[str, ...]:
    """What the axes that are drawn measure, with their units, in words."""
    if is_mosaic(histogram):
        return ("mosaic",)
    return tuple(f"{axis.kind or axis.name} ({_usual_unit(axis)})" for axis in _cut(histogram)[0].axes)


def _usual_unit(axis: Axis) -> str:
    """One word for what files write in several ways: ``r.l.u.``, ``rlu``, ``in 1.162 A^-1``, or nothing."""
    unit = axis.unit.strip()
    if axis.kind == "energy" and unit in ("", "DeltaE"):
        return "meV"
    if axis.kind in ("h", "k", "l") and (unit.startswith("in ") or unit.replace(".", "") in ("", "rlu")):
        return "r.l.u."
    return unit or "no unit"


def _finish(figure: Figure, path: PathLike | None) -> Figure:
    if path is not None:
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=DPI)
        except Exp2SimError:
            raise
        except ValueError as error:
            raise Exp2SimError(f"{path} cannot be drawn: {error}.", fix="Let it end in .png.") from error
    return figure


def _figure(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    if vmax is not None and not 0 < vmax < float("inf"):
        raise Exp2SimError(
            f"The upper end of the colour scale is {vmax:g}.",
            reason="It takes a positive number.",
            fix="Leave it out (--vmax): the data choose it.",
        )
    first = next(iter(histograms.values()))
    if is_mosaic(first):
        return _mosaics(histograms, vmax)
    cut = {}
    for name, histogram in histograms.items():
        part, notes = _cut(histogram)
        cut["\n".join(line for line in (name, notes) if line)] = part
    draw = {1: _lines, 2: _maps}.get(len(_cut(first)[0].axes), _slices)
    return draw(cut, vmax)


def _empty(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


# ------------------------------------------------------------------------------------------------ parts


def _cut(histogram: Histogram) -> tuple[Histogram, str]:
    """Leave out axes of one bin, and all but three of the others; say what was done."""
    keep = [i for i, axis in enumerate(histogram.axes) if axis.size > 1] or [histogram.ndim - 1]
    keep = keep[-3:]
    notes, where = [], []
    for i, axis in enumerate(histogram.axes):
        middle = axis.size // 2
        where.append(slice(None) if i in keep else middle)
        if i not in keep:
            low, high = axis.edges[middle], axis.edges[middle + 1]
            notes.append(f"{axis.label or axis.name} {_range(low, high)} {axis.unit}".rstrip())
    if not notes:
        return histogram, ""
    index = tuple(where)
    axes = tuple(histogram.axes[i] for i in keep)
    part = Histogram(
        histogram.intensity[index], histogram.variance[index], histogram.mask[index], axes, histogram.metadata
    )
    return part, ", ".join(notes)


def _range(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"


def _label(axis: Axis) -> str:
    name = axis.label or axis.name
    return f"{name} ({axis.unit})" if axis.unit else name


def _intensity_label(histograms: Mapping[str, Histogram]) -> str:
    unit = next(iter(histograms.values())).metadata.get("intensity_unit")
    return f"Intensity ({unit})" if unit else "Intensity (units of the data)"


def _scale(histograms: Mapping[str, Histogram], vmax: float | None) -> Normalize:
    """One colour scale for all: from 0, or the lowest values where they are negative, to nearly the
    highest.
    """
    values = np.concatenate([h.intensity[~h.mask] for h in histograms.values()])
    if values.size == 0:
        raise Exp2SimError("There is nothing to draw: every bin is masked.")
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


def _colours(histogram: Histogram) -> Colormap:
    return colormaps["RdBu_r" if _is_signed(histogram) else "viridis"].with_extremes(bad=MASKED)


def _colour_bar(
    figure: Figure, image: Any, axes: Sequence[Axes], histograms: Mapping[str, Histogram], size: float = 30
) -> None:
    lowest = min(float(np.min(h.intensity[~h.mask], initial=np.inf)) for h in histograms.values())
    highest = max(float(np.max(h.intensity[~h.mask], initial=-np.inf)) for h in histograms.values())
    below, above = lowest < image.norm.vmin, highest > image.norm.vmax
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    bar = figure.colorbar(image, ax=list(axes), extend=extend, aspect=size, pad=0.015)
    root = ", square-root colour scale" if isinstance(image.norm, PowerNorm) else ""
    bar.set_label(_intensity_label(histograms) + root)


# ------------------------------------------------------------------------------------------------ kinds


def _lines(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    figure = _empty(7, 4.5)
    axes = figure.subplots()
    for name, histogram in histograms.items():
        axis = histogram.axes[0]
        errors = np.sqrt(histogram.variance)
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
    axes.set(xlabel=_label(first.axes[0]), ylabel=_intensity_label(histograms), xlim=(edges[0], edges[-1]))
    if vmax is not None:
        axes.set_ylim(top=vmax)
    if len(histograms) > 1:
        axes.legend(frameon=False)
    else:
        axes.set_title(next(iter(histograms)))
    return figure


def _map(axes: Axes, histogram: Histogram, scale: Normalize, first: int, second: int) -> Any:
    """Draw a 2-D histogram with axis `first` to the right and `second` upwards."""
    values = np.ma.masked_invalid(histogram.intensity)
    x, y = histogram.axes[first], histogram.axes[second]
    return axes.pcolormesh(
        x.edges,
        y.edges,
        values.T if first < second else values,
        norm=scale,
        cmap=_colours(histogram),
        rasterized=True,
    )


def _directions(axes: Sequence[Axis]) -> tuple[int, int]:
    """Energy goes upwards; otherwise the first axis goes to the right."""
    return (1, 0) if axes[0].kind == "energy" else (0, 1)


def _square(axes: Sequence[Axis]) -> bool:
    """Whether both axes are directions of reciprocal space in the same unit."""
    return axes[0].unit == axes[1].unit and all(axis.kind in ("h", "k", "l") for axis in axes)


def _maps(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    count = len(histograms)
    figure = _empty(1.2 + 5 * count, 4.6)
    row = figure.subplots(1, count, squeeze=False, sharex=True, sharey=True)[0]
    scale = _scale(histograms, vmax)
    for axes, (name, histogram) in zip(row, histograms.items(), strict=True):
        first, second = _directions(histogram.axes)
        image = _map(axes, histogram, scale, first, second)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel(_label(histogram.axes[first]))
        if _square(histogram.axes):
            axes.set_aspect("equal")
    row[0].set_ylabel(_label(histogram.axes[second]))
    _colour_bar(figure, image, row, histograms)
    return figure


def _slices(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    """One row of slices for each histogram, or a grid of them for one."""
    along = next((i for i in range(3) for h in histograms.values() if h.axes[i].kind == "energy"), 2)
    size = min(h.axes[along].size for h in histograms.values())
    chosen = np.unique(np.linspace(0, size - 1, min(size, MAX_SLICES)).round().astype(int))
    one = len(histograms) == 1
    columns = _columns(len(chosen)) if one else len(chosen)
    rows = int(np.ceil(len(chosen) / columns)) if one else len(histograms)
    first_part = _slice(next(iter(histograms.values())), along, 0)
    figure = _empty(1.4 + 1.9 * columns, 0.9 + (0.25 + 1.9 * _shape(first_part.axes)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    scale = _scale(histograms, vmax)
    flat = list(grid.flat)
    for row, (name, histogram) in enumerate(histograms.items()):
        axis = histogram.axes[along]
        for place, i in enumerate(chosen):
            axes = flat[place] if one else grid[row, place]
            part = _slice(histogram, along, int(i))
            image = _map(axes, part, scale, *_directions(part.axes))
            text = f"{_range(axis.edges[i], axis.edges[i + 1])} {axis.unit}"
            axes.set_title(text, fontsize=8)
            axes.tick_params(labelsize=7)
            if _square(part.axes):
                axes.set_aspect("equal")
        if not one:
            grid[row, 0].annotate(
                name,
                (-0.45, 0.5),
                xycoords="axes fraction",
                rotation=90,
                va="center",
                ha="right",
                fontsize=11,
            )
    for place, axes in enumerate(flat if one else []):
        axes.set_visible(place < len(chosen))
        axes.tick_params(labelbottom=place + columns >= len(chosen))
    first, second = _directions(part.axes)
    figure.supxlabel(_label(part.axes[first]), fontsize=10)
    figure.supylabel(_label(part.axes[second]), fontsize=10)
    share = "" if len(chosen) == size else f" ({len(chosen)} of {size} bins)"
    lines = [next(iter(histograms)) if one else "", f"slices along {axis.label or axis.name}{share}"]
    figure.suptitle("\n".join(line for line in lines if line), fontsize=11)
    _colour_bar(figure, image, flat, histograms)
    return figure


def _columns(count: int) -> int:
    """Columns of a grid of slices: 4 to 6, with full rows where that can be."""
    return count if count <= 4 else next((n for n in (5, 4, 6) if count % n == 0), 5)


def _shape(axes: Sequence[Axis]) -> float:
    """Height of a frame over its width."""
    if not _square(axes):
        return 0.9
    first, second = _directions(axes)
    return float(np.clip(np.ptp(axes[second].edges) / np.ptp(axes[first].edges), 0.5, 1.5))


def _slice(histogram: Histogram, along: int, i: int) -> Histogram:
    index = tuple(i if axis == along else slice(None) for axis in range(histogram.ndim))
    axes = tuple(axis for n, axis in enumerate(histogram.axes) if n != along)
    parts = histogram.intensity[index], histogram.variance[index], histogram.mask[index]
    return Histogram(*parts, axes, histogram.metadata)


def _mosaics(histograms: Mapping[str, Histogram], vmax: float | None) -> Figure:
    """One picture large, or several in two columns."""
    count = len(histograms)
    columns = min(count, 2)
    rows = -(-count // columns)
    width = 10.5 if count == 1 else 8.0
    figure = _empty(1.2 + width * columns, 0.4 + (0.5 + 0.58 * width) * rows)
    flat = list(figure.subplots(rows, columns, squeeze=False).flat)
    scale = _scale(histograms, vmax)
    for axes, (name, histogram) in zip(flat, histograms.items(), strict=False):
        image = _mosaic(axes, histogram, scale, size=7.5 if count == 1 else 6.5)
        axes.set_title(name, fontsize=12, loc="left")
    for axes in flat[count:]:
        axes.set_visible(False)
    _colour_bar(figure, image, flat, histograms, 30 * rows)
    return figure


def _mosaic(axes: Axes, histogram: Histogram, scale: Normalize, *, size: float) -> Any:
    """The picture with its panels: incident energies at the left, energy windows above, energies inside."""
    values = np.ma.masked_invalid(histogram.intensity)
    image = axes.imshow(values, norm=scale, cmap=_colours(histogram), interpolation="nearest", aspect="equal")
    for line in range(1, len(INCIDENT_ENERGIES)):
        axes.axhline(line * PANEL - 0.5, color="white", linewidth=1.6)
    for line in range(1, WINDOWS):
        axes.axvline(line * PANEL - 0.5, color="white", linewidth=0.8)
    centre = (PANEL - 1) / 2
    axes.set_yticks([i * PANEL + centre for i in range(len(INCIDENT_ENERGIES))])
    axes.set_yticklabels([f"{ei:g} meV" for ei in INCIDENT_ENERGIES], fontsize=9)
    axes.set_ylabel("incident energy $E_i$  (in each panel: $h$ from −1 up to 1)", fontsize=9)
    axes.set_xticks([i * PANEL + centre for i in range(WINDOWS)])
    axes.set_xticklabels([f"{100 * a:.0f}–{100 * b:.0f}" for a, b in _pairs()], fontsize=size + 1)
    axes.set_xlabel("energy transfer window, % of $E_i$  (in each panel: $k$ from −1 to 1)", fontsize=9)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _energies(axes, size)
    return image


def _pairs() -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in itertools.pairwise(WINDOW_EDGES)]


def _energies(axes: Axes, size: float) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.45, "linewidth": 0}
    for i, ei in enumerate(INCIDENT_ENERGIES):
        for j, (low, high) in enumerate(_pairs()):
            axes.text(
                j * PANEL + 1.5,
                i * PANEL + 1.5,
                f"{0.5 * (low + high) * ei:.3g}",
                color="white",
                fontsize=size - 1,
                va="top",
                ha="left",
                bbox=box,
            )
    axes.text(
        SHAPE[1] - 0.5,
        -3,
        "number in a panel: mean energy transfer, meV; grey: not measured",
        fontsize=size,
        ha="right",
        va="bottom",
        color="0.3",
    )


def ridges(distances: Mapping[str, Any], path: PathLike | None = None, *, title: str = "") -> Figure:
    """Draw distributions of distances (name → 1D array) above each other, on one scale: a ridge plot.

    >>> figure = ridges({"training": np.arange(9.0), "new": np.arange(9.0) + 5})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['training', 'new']
    """
    figure = Figure(figsize=(6.4, 0.9 * len(distances) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
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
    return _finish(figure, path)
