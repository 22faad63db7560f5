"""The pictures of the report, as base64-encoded PNGs by their captions."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mantid_exp2sim.training.trainers.pictures import panel_rows

ROWS = {
    "convolved": "convolved",
    "deconvolve:richardson_lucy": "Richardson–Lucy",
    "deconvolve:richardson_lucy_of_cuts": "Richardson–Lucy, cuts",
    "deconvolve:translated": "model",
    "target": "truth",
    "measured": "measured",
    "deconvolve_measured:richardson_lucy": "Richardson–Lucy of measured",
    "deconvolve_measured:richardson_lucy_of_cuts": "Richardson–Lucy, cuts of measured",
    "deconvolve_measured:translated": "model of measured",
    "convolve:translated": "truth, convolved",
}


def draw(
    report: Mapping[str, Any], example: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> dict[str, str]:
    """Every picture that the report has figures for."""
    unknown = torch.from_numpy(mask)
    rows = {
        title.replace(" ", "\n", 1): (torch.from_numpy(example[name]), unknown)
        for name, title in ROWS.items()
        if name in example
    }
    pictures = {
        "One spectrum of the split. Columns: some panels, each column on one colour scale.": (
            panel_rows(rows, report["incident_energies"])
        ),
        "Deconvolution, panel by panel: relative L2 over the untranslated one, intensity over the true.": (
            _panels(report)
        ),
        "Reliability of the classifiers on their own kind of data: accuracy against the share of the winning "
        "class; the area of a dot is its share of the spectra.": _reliability(report),
    }
    return {caption: _png(figure) for caption, figure in pictures.items() if figure is not None}


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return base64.b64encode(buffer.getvalue()).decode()


def _new(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _panels(report: Mapping[str, Any]) -> Figure:
    errors = report["relative_l2"]["deconvolve"]
    before, after = (_array(errors[name]["per_panel"]) for name in ("untranslated", "translated"))
    maps = [
        ("relative L2, model / untranslated", after / before, (0, 2)),
        ("intensity, model / true", _array(report["flux"]["deconvolve"]["per_panel"]), (0.8, 1.2)),
    ]
    figure = _new(9, 3.2)
    grid: Any = figure.subplots(1, len(maps))
    for axes, (title, values, (low, high)) in zip(grid, maps, strict=True):
        image = axes.imshow(values, cmap="RdBu_r", vmin=low, vmax=high, aspect="auto")
        axes.set_yticks(range(len(values)), [f"{energy:g} meV" for energy in report["incident_energies"]])
        axes.set(xlabel="energy bin", title=title)
        figure.colorbar(image, ax=axes)
    return figure


def _array(values: Any) -> NDArray[np.float64]:
    return np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)


def _reliability(report: Mapping[str, Any]) -> Figure | None:
    if not report["calibration"]:
        return None
    figure = _new(4.5, 4.2)
    axes: Any = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for reader, figures in report["calibration"].items():
        points = np.array([[b["confidence"], b["accuracy"], b["share"]] for b in figures["reliability"]])
        axes.scatter(
            points[:, 0], points[:, 1], s=20 + 400 * points[:, 2], alpha=0.6,
            label=f"{reader}, ECE {100 * figures['ece']:.1f} %",
        )  # fmt: skip
    axes.set(xlabel="share of the winning class", ylabel="accuracy", xlim=(0.4, 1.02), ylim=(0, 1.05))
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return figure
