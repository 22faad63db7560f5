"""The pictures of the report, as base64-encoded PNGs by their captions."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

ROWS = {
    "convolved": "convolved",
    "deconvolve:richardson_lucy": "Richardson–Lucy",
    "deconvolve:richardson_lucy_of_cuts": "Richardson–Lucy, cut by cut",
    "deconvolve:paired": "paired network",
    "deconvolve:translated": "model",
    "target": "truth",
    "measured": "measurement-like",
    "deconvolve_measured:richardson_lucy": "Richardson–Lucy",
    "deconvolve_measured:richardson_lucy_of_cuts": "Richardson–Lucy, cut by cut",
    "deconvolve_measured:paired": "paired network",
    "deconvolve_measured:translated": "model",
    "convolve:translated": "truth, convolved by the model",
}


def draw(
    report: Mapping[str, Any], example: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> dict[str, str]:
    """Every picture that the report has figures for."""
    pictures = {
        "One spectrum of the split. Columns: some panels, each column on one colour scale.": (
            _example(report, example, mask)
        ),
        "Accuracy, with 95 % intervals.": _accuracy(report),
        "Relative L2 to the true counterpart, with 95 % intervals.": _errors(report),
        "Deconvolution, panel by panel: relative L2 over the untranslated one, intensity over the true one, "
        "structural similarity.": _panels(report),
        "Reliability of the classifiers on their own kind of data: accuracy against the share of the winning "
        "class; the area of a dot is its share of the spectra.": _reliability(report),
        "What the classifier looks at: by how much its score changes without a panel (mean of the size), the "
        "share of the positive map in it, and both against the energy transfer.": attention_figure(report),
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


def _example(
    report: Mapping[str, Any], example: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> Figure:
    rows = {title: example[name] for name, title in _titles(example)}
    energies = report["incident_energies"]
    windows = mask.shape[3]
    columns = [
        (e, w)
        for e in sorted({0, len(energies) // 2, len(energies) - 1})
        for w in sorted({windows // 5, windows // 2, (4 * windows) // 5})
    ]
    figure = _new(1.25 * len(columns) + 1.2, 1.3 * len(rows))
    grid: Any = figure.subplots(len(rows), len(columns), squeeze=False)
    for column, (e, w) in enumerate(columns):
        hidden = mask[e, :, :, w]
        shown = [np.ma.masked_array(volume[e, :, :, w], hidden) for volume in rows.values()]
        top = max(float(np.quantile(s.compressed(), 0.995)) if s.count() else 0.0 for s in shown) or 1.0
        for row, (panel, title) in enumerate(zip(shown, rows, strict=True)):
            axes = grid[row, column]
            axes.imshow(panel, vmin=0, vmax=top, origin="lower", aspect="auto")
            axes.set(xticks=[], yticks=[], facecolor="0.72")
            if column == 0:
                axes.set_ylabel(title.replace(" ", "\n", 1), fontsize=7)
            if row == 0:
                axes.set_title(f"{energies[e]:g} meV, {w}", fontsize=7)
    return figure


def _titles(example: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and titles of the rows there are; the second of two with the same title says so."""
    titles: dict[str, str] = {}
    for name, title in ROWS.items():
        if name in example:
            again = title in titles.values()
            titles[name] = f"{title} (of measurement-like)" if again else title
    return list(titles.items())


def _bars(figure: Figure, rows: Sequence[tuple[str, Mapping[str, Any], str]], label: str) -> None:
    """Values with their intervals, one below the other; a row is its name, the figure, and its colour."""
    axes: Any = figure.subplots()
    for place, (_, interval, colour) in enumerate(rows):
        value = interval.get("value", interval.get("mean"))
        low, high = interval.get("low"), interval.get("high")
        error = None if low is None or high is None else [[max(value - low, 0)], [max(high - value, 0)]]
        axes.errorbar(value, place, xerr=error, fmt="o", color=colour, capsize=3)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)


def _accuracy(report: Mapping[str, Any]) -> Figure | None:
    accuracy = report["accuracy"]
    if not accuracy:
        return None
    figure = _new(8, 0.26 * len(accuracy) + 1)
    rows = [
        (key.replace("_", " ").replace(":", " reads "), share, "C0" if key.startswith("target") else "C1")
        for key, share in accuracy.items()
    ]
    _bars(figure, rows, "accuracy")
    return figure


def _errors(report: Mapping[str, Any]) -> Figure:
    rows = [
        (f"{case}: {method}".replace("_", " "), error, f"C{number}")
        for number, (case, methods) in enumerate(report["relative_l2"].items())
        for method, error in methods.items()
    ]
    figure = _new(8, 0.26 * len(rows) + 1)
    _bars(figure, rows, "relative L2")
    return figure


def _panels(report: Mapping[str, Any]) -> Figure:
    errors = report["relative_l2"]["deconvolve"]
    before, after = (_array(errors[name]["per_panel"]) for name in ("untranslated", "translated"))
    maps = [
        ("relative L2, model / untranslated", after / before, "RdBu_r", (0, 2)),
        ("intensity, model / true", _array(report["flux"]["deconvolve"]["per_panel"]), "RdBu_r", (0.8, 1.2)),
        (
            "SSIM of the model",
            _array(report["ssim"]["deconvolve"]["translated"]["per_panel"]),
            "viridis",
            (0, 1),
        ),
    ]
    figure = _new(13, 3.2)
    grid: Any = figure.subplots(1, len(maps))
    for axes, (title, values, colours, limits) in zip(grid, maps, strict=True):
        _heat(figure, axes, report, title, values, colours, limits)
    return figure


def _array(values: Any) -> NDArray[np.float64]:
    return np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)


def _heat(
    figure: Figure,
    axes: Any,
    report: Mapping[str, Any],
    title: str,
    values: NDArray[np.float64],
    colours: str,
    limits: tuple[float, float] | None = None,
) -> None:
    low, high = limits or (None, None)
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_yticks(range(len(values)), [f"{energy:g} meV" for energy in report["incident_energies"]])
    axes.set_xlabel("energy bin")
    axes.set_title(title, fontsize=10)
    if values.shape[1] <= 16:
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.6, "linewidth": 0}
        for (row, column), value in np.ndenumerate(values):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, bbox=box)
    figure.colorbar(image, ax=axes)


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


def attention_figure(report: Mapping[str, Any]) -> Figure | None:
    """What the classifier looks at, per panel and against the energy transfer; None where it is not known."""
    panels = report["panels"]
    if "deciding" not in panels:
        return None
    figure = _new(13, 3.4)
    grid: Any = figure.subplots(1, 3)
    _heat(
        figure, grid[0], report, "change of the score without the panel", _array(panels["deciding"]), "magma"
    )
    _heat(figure, grid[1], report, "share of the positive map, %", 100 * _array(panels["weights"]), "magma")
    if "energy" in panels:
        for name, label in (("deciding", "change without it"), ("weights", "share of the map")):
            values = _array([panels["by_energy"][name]])[0]
            grid[2].plot(panels["energy"], values / np.nanmax(values), drawstyle="steps-mid", label=label)
        for low, high in ((28, 32), (56, 75)):
            grid[2].axvspan(low, high, color="0.9", zorder=0)
        grid[2].set(xlabel="energy transfer, meV", ylabel="mean over the panels, of the largest")
        grid[2].legend(frameon=False, fontsize=9)
    return figure
