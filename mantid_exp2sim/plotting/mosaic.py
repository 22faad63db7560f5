"""Pictures of mosaics: all panels, with their energies."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, PANEL, SHAPE, WINDOW_EDGES, WINDOWS
from mantid_exp2sim.plotting.style import (
    Look,
    add_colour_bar,
    colour_map,
    colour_scale,
    figure_of,
    new_figure,
)


def draw_mosaics(histograms: Mapping[str, Histogram], look: Look) -> Figure:
    """Draw one picture large, or several in two columns."""
    count = len(histograms)
    columns = min(count, 2)
    rows = -(-count // columns)
    width = 10.5 if count == 1 else 8.0
    figure = new_figure(1.2 + width * columns, 0.4 + (0.5 + 0.58 * width) * rows)
    flat = list(figure.subplots(rows, columns, squeeze=False).flat)
    scale = colour_scale(histograms, look)
    for axes, (name, histogram) in zip(flat, histograms.items(), strict=False):
        image = _mosaic(axes, histogram, scale, size=7.5 if count == 1 else 6.5)
        axes.set_title(name, fontsize=12, loc="left")
    for axes in flat[count:]:
        axes.set_visible(False)
    add_colour_bar(figure, image, flat, histograms, 30 * rows)
    return figure


def draw_mosaic_into(axes: Axes, name: str, histogram: Histogram, look: Look) -> None:
    """Draw one mosaic into axes of another figure."""
    histograms = {name: histogram}
    image = _mosaic(axes, histogram, colour_scale(histograms, look), size=6)
    axes.set_title(name, loc="left")
    add_colour_bar(figure_of(axes), image, [axes], histograms)


def _mosaic(axes: Axes, histogram: Histogram, scale: Normalize, *, size: float) -> Any:
    """The picture with its panels: incident energies at the left, energy windows above, energies inside."""
    values = np.ma.masked_invalid(histogram.intensity)
    image = axes.imshow(
        values, norm=scale, cmap=colour_map(histogram), interpolation="nearest", aspect="equal"
    )
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
