"""Pictures of histograms, drawn without a display.

`plot` draws one histogram whatever its number of axes, `compare` several beside each other on one colour
scale. Both return a `matplotlib.figure.Figure` and write it if a path is given; pyplot is never used, so
both work in threads and servers. Bins that were not measured are grey.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes as MatplotlibAxes
from matplotlib.figure import Figure

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.mosaic import is_mosaic
from mantid_exp2sim.plotting.cuts import draw_lines, draw_maps, draw_slices
from mantid_exp2sim.plotting.mosaic import draw_mosaic_into, draw_mosaics
from mantid_exp2sim.plotting.style import Look, PathLike, cut, figure_of, finish, unit_words


def plot(
    histogram: Histogram,
    path: PathLike | None = None,
    *,
    title: str | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    log: bool = False,
    ax: MatplotlibAxes | None = None,
) -> Figure:
    """Draw one histogram: a line with error bars, a map, slices of a volume, or the panels of a mosaic.

    Axes of one bin are left out and named in the title, with the ranges that a cut integrated over; of four
    or more axes the middle bin of the first ones is taken. Maps of two directions in reciprocal space have
    the angle and the lengths of the lattice, where the metadata ``lattice`` tell it.

    Parameters
    ----------
    histogram
        What to draw.
    path
        Where to write the picture; the ending says how (.png, .pdf, .svg).
    title
        Title; by default what the histogram's metadata say.
    vmin, vmax
        Ends of the scale of intensity, in the unit of the data. By default from 0, or the 0.5 % quantile
        where that is negative, to the 99.5 % quantile. That of a mosaic, whose panels differ much, goes with
        the square root.
    log
        Draw on a logarithmic scale; what is not positive is left out.
    ax
        Draw into these axes of a figure of your own: a line, a map or a mosaic.

    Examples
    --------
    >>> import numpy as np
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> figure = plot(mosaic_histogram(np.ones((240, 400))))
    >>> len(figure.axes)  # the picture and its colour bar
    2
    """
    text = str(histogram.metadata.get("title", "")) if title is None else title
    look = Look(vmin, vmax, log)
    figure = _figure({text: histogram}, look) if ax is None else _into(ax, text, histogram, look)
    return finish(figure, path)


def compare(
    histograms: Mapping[str, Histogram],
    path: PathLike | None = None,
    *,
    title: str = "",
    vmin: float | None = None,
    vmax: float | None = None,
    log: bool = False,
) -> Figure:
    """Draw several histograms of the same kind on one scale, under their names: before, after, truth.

    Lines share one frame, maps and mosaics stand side by side, volumes take a row of slices each. Scale as in
    `plot`.

    Raises
    ------
    Exp2SimError
        If there is none, or their numbers of axes, or what the axes measure and its unit, differ.

    Examples
    --------
    >>> import numpy as np
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
    figure = _figure(histograms, Look(vmin, vmax, log))
    if heading := "\n".join(filter(None, (title, _shared_notes(histograms)))):
        figure.suptitle(heading, fontsize=13 if title else 11)
    return finish(figure, path)


def _measures(histogram: Histogram) -> tuple[str, ...]:
    """What the axes that are drawn measure, with their units, in words."""
    if is_mosaic(histogram):
        return ("mosaic",)
    return tuple(f"{axis.kind or axis.name} ({_usual_unit(axis)})" for axis in cut(histogram)[0].axes)


def _usual_unit(axis: Axis) -> str:
    """One word for what files write in several ways, or leave out."""
    return unit_words(axis) or ("r.l.u." if axis.kind in ("h", "k", "l") else "no unit")


def _figure(histograms: Mapping[str, Histogram], look: Look) -> Figure:
    first = next(iter(histograms.values()))
    if is_mosaic(first):
        return draw_mosaics(histograms, look)
    is_said = bool(_shared_notes(histograms))
    pairs = (_with_notes(name, histogram) for name, histogram in histograms.items())
    parts = {name if is_said else title: part for name, (title, part) in zip(histograms, pairs, strict=True)}
    draw = {1: draw_lines, 2: draw_maps}.get(len(cut(first)[0].axes), draw_slices)
    return draw(parts, look)


def _into(axes: MatplotlibAxes, name: str, histogram: Histogram, look: Look) -> Figure:
    """Draw into axes that are there."""
    if is_mosaic(histogram):
        draw_mosaic_into(axes, name, histogram, look)
        return figure_of(axes)
    title, part = _with_notes(name, histogram)
    if part.ndim > 2:
        raise Exp2SimError(
            "A volume cannot be drawn into one pair of axes.",
            reason=f"It has the axes {', '.join(axis.name for axis in part.axes)}.",
            fix="Cut it first (histogram.cut), or leave ax out: then its slices make a figure.",
        )
    return (draw_lines if part.ndim == 1 else draw_maps)({title: part}, look, axes)


def _shared_notes(histograms: Mapping[str, Histogram]) -> str:
    """What is left out of several histograms, where that is the same."""
    if len(histograms) < 2 or any(is_mosaic(histogram) for histogram in histograms.values()):
        return ""
    notes = {cut(histogram)[1] for histogram in histograms.values()}
    return notes.pop() if len(notes) == 1 else ""


def _with_notes(name: str, histogram: Histogram) -> tuple[str, Histogram]:
    part, notes = cut(histogram)
    return "\n".join(line for line in (name, notes) if line), part
