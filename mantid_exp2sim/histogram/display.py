"""A histogram in one line, and as a small picture with words for a notebook."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO

import numpy as np

from mantid_exp2sim.histogram.axis import Axis, Floats
from mantid_exp2sim.histogram.exchange_parts import Binned

PERCENTILES = (1, 99)
"""Limits of the colours: few bright bins would hide all others."""


def words_of(binned: Binned) -> str:
    """Say what a histogram holds, in one line.

    >>> from mantid_exp2sim.histogram import Axis, Histogram
    >>> Histogram.from_arrays([1.0, np.nan], [Axis("DeltaE", np.arange(3.0), unit="meV")])
    Histogram(2 bins: DeltaE 0 to 2 meV; 1 measured, errors not known)
    >>> Axis("[H,0,0]", np.array([-1.0, 1.0]), unit="r.l.u.")
    Axis('[H,0,0]', 1 bin, -1 to 1 r.l.u.)
    """
    axes = ", ".join(_axis_words(axis) for axis in binned.axes)
    facts = [f"{int((~binned.mask).sum())} measured"]
    energy = binned.metadata.get("incident_energy")
    if isinstance(energy, int | float):
        facts.append(f"incident energy {energy:g} meV")
    if not np.nanmax(binned.variance, initial=0.0) > 0:
        facts.append("errors not known")
    bins = " × ".join(str(axis.size) for axis in binned.axes)
    return f"Histogram({bins} bins: {axes}; {', '.join(facts)})"


def _axis_words(axis: Axis) -> str:
    return f"{axis.name} {axis.edges[0]:g} to {axis.edges[-1]:g} {axis.unit}".strip()


def html_of(binned: Binned) -> str:
    """Return title, words and a picture as HTML that needs nothing else."""
    title, words = (escape(str(text)) for text in (binned.metadata.get("title") or "", words_of(binned)))
    heading = f"<strong>{title}</strong><br>" if title else ""
    picture = b64encode(_picture(binned)).decode("ascii")
    image = f'<img alt="{words}" src="data:image/png;base64,{picture}" style="max-width:100%">'
    return f"<div>{heading}<code>{words}</code><br>{image}</div>"


def _picture(binned: Binned) -> bytes:
    """A line or a map, as PNG; further axes are averaged over."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    ax, values = figure.subplots(), _mean_over(binned.intensity, binned.mask, binned.intensity.ndim - 2)
    first, last = binned.axes[0], binned.axes[-1]
    if len(binned.axes) > 2:
        ax.set_title(f"mean over {', '.join(axis.name for axis in binned.axes[:-2])}", fontsize="small")
        first = binned.axes[-2]
    ax.set_xlabel(_label(first if len(binned.axes) > 1 else last))
    if len(binned.axes) == 1:
        ax.stairs(values, last.edges)
        ax.set_ylabel("intensity")
    else:
        ax.set_ylabel(_label(last))
        measured = values[np.isfinite(values)]
        low, high = np.percentile(measured, PERCENTILES) if measured.size else (0.0, 1.0)
        mesh = ax.pcolormesh(first.edges, last.edges, values.T, vmin=low, vmax=high)
        figure.colorbar(mesh, label="intensity")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _mean_over(intensity: Floats, mask: np.ndarray, count: int) -> Floats:
    """The mean of what was measured over the first ``count`` axes; NaN where nothing was."""
    if count <= 0:
        return intensity
    places = tuple(range(count))
    bins = (~mask).sum(axis=places)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(mask, 0.0, intensity).sum(axis=places) / bins
    return means


def _label(axis: Axis) -> str:
    """Name and unit as plain text, not as formula."""
    text = axis.label or axis.name
    return (f"{text} ({axis.unit})" if axis.unit else text).replace("$", r"\$")
