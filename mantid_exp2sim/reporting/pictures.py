"""The still pictures of a report, as PNGs in base64."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from mantid_exp2sim.application.intensity import LostIntensity
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.mosaic import is_mosaic, split
from mantid_exp2sim.plotting import compare
from mantid_exp2sim.plotting.style import cut, new_figure

BESIDE = 1
"""Bins on each side of the brightest one that a cut is the mean of."""


def encoded(figure: Figure) -> str:
    """Return a figure as a PNG in base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode()


def cuts(before: Histogram, after: Histogram | None) -> Iterator[tuple[str, Figure]]:
    """Draw lines through the brightest place along each axis, with error bars: before and after."""
    pair = {"before": before} if after is None else {"before": before, "after": after}
    if is_mosaic(before):
        volumes = {name: split(histogram) for name, histogram in pair.items()}
        totals = [float(np.nansum(volume.intensity)) for volume in split(before)]
        best = int(np.argmax(totals))
        pair = {name: parts[best] for name, parts in volumes.items()}
    pieces = {name: cut(histogram)[0] for name, histogram in pair.items()}
    first = pieces["before"]
    place = np.unravel_index(int(np.nanargmax(first.intensity)), first.shape)
    for along, axis in enumerate(first.axes):
        ranges = {
            other.name: _around(other.edges, int(place[number]))
            for number, other in enumerate(first.axes)
            if number != along
        }
        try:
            lines = {name: piece.cut(ranges) if ranges else piece for name, piece in pieces.items()}
            yield axis.name, compare(lines)
        except Exp2SimError:  # a line that was hardly measured
            continue


def _around(edges: Floats, place: int) -> tuple[float, float]:
    return float(edges[max(place - BESIDE, 0)]), float(edges[min(place + BESIDE + 1, edges.size - 1)])


def draw_lost(lost: LostIntensity) -> Figure | None:
    """Draw the share of the intensity that is lost, by range of energy; one row for each incident energy."""
    rows: dict[float | None, list[tuple[float, float, float]]] = {}
    for part in lost.ranges:
        if part.energy is not None and part.lost is not None:
            rows.setdefault(part.incident_energy, []).append((*part.energy, 100 * part.lost))
    if not rows:
        return None
    figure = new_figure(8, 1.2 + 1.3 * len(rows))
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (incident, bars) in zip(grid, rows.items(), strict=True):
        low, high, share = np.array(bars).T
        axes.bar(low, share, high - low, align="edge", color=np.where(share > 10, "C3", "C0"), edgecolor="w")
        axes.axhline(0, color="0.3", linewidth=0.8)
        if incident is not None:
            axes.set_title(f"Ei {incident:g} meV", fontsize=9, loc="left", pad=2)
        axes.tick_params(labelsize=8)
    figure.supylabel("intensity lost (%)", fontsize=10)
    grid[-1].set_xlabel("Energy transfer (meV)")
    return figure
