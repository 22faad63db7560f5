"""The figure of `measurement_report`: a block for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, PANEL, SHAPE, WINDOW_EDGES, WINDOWS

if TYPE_CHECKING:
    from measurement_report import Findings

MASKED = "0.72"
COLOURS = ("C0", "C1", "C2", "C4")


def draw(reports: Sequence[Findings]) -> Figure:
    """Draw a block for each model."""
    figure = Figure(figsize=(17, 9.4 * len(reports)), layout="constrained")
    FigureCanvasAgg(figure)
    blocks: Any = figure.subfigures(len(reports), 1, squeeze=False)[:, 0]
    for block, findings in zip(blocks, reports, strict=True):
        _block(block, findings)
    return figure


def _block(block: Any, findings: Findings) -> None:
    first, _, domain_part = findings.report["shows"].partition(". Domain")
    block.suptitle(f"{findings.name}: {first}.\nDomain{domain_part}", fontsize=13)
    top, bottom = block.subfigures(2, 1, height_ratios=(1.1, 1))
    _mosaics(top, findings)
    correlations, domain, near, flux = bottom.subplots(1, 4, width_ratios=(1.45, 1.1, 0.95, 1.5))
    _correlations(correlations, findings.report["correlations"])
    _domain(domain, findings)
    _consistency(near, findings.report["consistency"])
    _flux(bottom, flux, findings.report)


def _mosaics(part: Any, findings: Findings) -> None:
    raw, sharp = findings.measured.intensity, findings.sharp.intensity
    error = np.sqrt(findings.sharp.variance)
    both = np.concatenate([raw[np.isfinite(raw)], sharp[np.isfinite(sharp)]])
    shared = PowerNorm(0.5, 0.0, float(np.quantile(both, 0.995)))
    of_errors = PowerNorm(0.5, 0.0, float(np.nanquantile(error, 0.995)) or 1.0)
    grid = part.subplots(1, 3, sharey=True)
    titles = ("raw", "deconvolved", "error of the deconvolution (1 σ)")
    norms, maps = (shared, shared, of_errors), ("viridis", "viridis", "magma")
    for axes, title, values, norm, name in zip(grid, titles, (raw, sharp, error), norms, maps, strict=True):
        colours = colormaps[name].with_extremes(bad=MASKED)
        image = axes.imshow(
            np.ma.masked_invalid(values), norm=norm, cmap=colours, interpolation="nearest", aspect="auto"
        )
        axes.set_title(title)
        for column in range(1, WINDOWS):
            axes.axvline(column * PANEL - 0.5, color="white", linewidth=0.4)
        for row in range(1, len(INCIDENT_ENERGIES)):
            axes.axhline(row * PANEL - 0.5, color="white", linewidth=0.4)
        centres = 0.5 * (WINDOW_EDGES[1:] + WINDOW_EDGES[:-1])
        axes.set_xticks(PANEL * (np.arange(WINDOWS) + 0.5) - 0.5, [f"{c:.2f}" for c in centres], fontsize=8)
        rows = PANEL * (np.arange(len(INCIDENT_ENERGIES)) + 0.5) - 0.5
        axes.set_yticks(rows, [f"{energy:g} meV" for energy in INCIDENT_ENERGIES], fontsize=8)
        axes.set(xlabel="energy transfer / Ei", xlim=(-0.5, SHAPE[1] - 0.5), ylim=(SHAPE[0] - 0.5, -0.5))
        axes.tick_params(length=0)
        if title != "raw":
            beside = [axes] if norm is of_errors else list(grid[:2])
            bar = part.colorbar(image, ax=beside, extend="max", aspect=25, pad=0.01)
            bar.set_label("intensity" if norm is shared else "error")
    grid[0].set_ylabel("Ei; in each panel h upwards, k to the right")


def _correlations(axes: Any, report: dict[str, Any]) -> None:
    """Bars of each class: dark at the data's own scale, pale at the scale "auto"."""
    scales = list(report)
    readings = [name for name in report[scales[0]] if name != "factor"]
    classes = list(report[scales[0]][readings[0]]["correlations"])
    height = 0.8 / (len(scales) * len(classes))
    for row, reading in enumerate(readings):
        for number, (scale, name) in enumerate((s, c) for s in scales for c in classes):
            value = report[scale][reading]["correlations"][name]
            y = row - 0.4 + (number + 0.5) * height
            first, factor = scale == scales[0], report[scale]["factor"]
            bar = axes.barh(y, value, 0.9 * height, color=COLOURS[classes.index(name) % len(COLOURS)])
            bar[0].set_alpha(1.0 if first else 0.4)
            if row == 0:
                bar.set_label(f"{name}, {scale}" + ("" if first else f" (× {factor:.2f})"))
            axes.text(value + 0.01, y, f"{value:.2f}", va="center", fontsize=8)
        limit = report[scales[0]][reading]["threshold"]
        axes.plot(
            [limit, limit], [row - 0.45, row + 0.45], color="0.2", linestyle="--", linewidth=1,
            label="threshold" if row == 0 else None,
        )  # fmt: skip
    axes.set_yticks(
        range(len(readings)), [name.replace(", ", ",\n", 1).replace("-like ", "-like\n") for name in readings]
    )
    axes.tick_params(axis="y", labelsize=9, length=0)
    axes.set(xlim=(0, 1.1), ylim=(len(readings) - 0.5, -0.5), xlabel="correlation", title="Correlations")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=2, frameon=False)


def _domain(axes: Any, findings: Findings) -> None:
    """The score against those of held-out spectra of the domain."""
    check, inside = findings.report["domain"], findings.in_domain
    p_value = "" if check["p_value"] is None else f", p = {check['p_value']:.2g}"
    axes.set_title(f"Domain: {check['verdict']}{p_value}")
    if inside is None or check["score"] is None:
        axes.text(0.5, 0.5, "the model keeps\nno reference", ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    score, limit = check["score"], check["limit"]
    end = 1.15 * max(score, limit, float(inside.max()))
    axes.hist(
        inside,
        bins=np.linspace(0, end, 41),
        color="0.7",
        label=f"{len(inside)} held-out spectra of the domain",
    )
    axes.axvline(score, color="C3", linewidth=2, label=f"this measurement ({score:.2g})")
    axes.axvline(limit, color="0.2", linestyle="--", linewidth=1, label=f"untrustworthy beyond ({limit:.2g})")
    axes.set(xlim=(0, end), xlabel="score (distance from the training data)", ylabel="spectra")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)


def _consistency(axes: Any, distances: dict[str, Any]) -> None:
    values = [distances["untranslated"], distances["deconvolved"]]
    axes.bar(range(2), values, 0.6, color=("0.7", "C0"))
    for place, value in enumerate(values):
        axes.text(place, value, f"{value:.3f}", ha="center", va="bottom", fontsize=9)
    noise = distances["noise"]
    axes.axhline(noise, color="C3", linewidth=1.5, label=f"noise {noise:.3f},\n{distances['noise_is']}")
    axes.set_xticks(range(2), ["y = raw", "y = decon-\nvolved"])
    axes.set(ylim=(0, 1.2 * max(*values, noise)), xlim=(-0.6, 1.6), title="Consistency ‖R·y − x‖ / ‖x‖")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)


def _flux(part: Any, axes: Any, report: dict[str, Any]) -> None:
    rows = report["intensity_ratio_per_panel"]
    values = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)
    colours = colormaps["RdBu_r"].with_extremes(bad=MASKED)
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0.0, vmax=2.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(value - 1) > 0.7
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5,
                color="white" if dark else "black",
            )  # fmt: skip
    centres = 0.5 * (WINDOW_EDGES[1:] + WINDOW_EDGES[:-1])
    axes.set_xticks(range(WINDOWS), [f"{c:.2f}" for c in centres], fontsize=8)
    axes.set_yticks(
        range(len(INCIDENT_ENERGIES)), [f"{energy:g} meV" for energy in INCIDENT_ENERGIES], fontsize=8
    )
    axes.set_xlabel("energy transfer / Ei")
    axes.set_title(f"Intensity after / before, {report['intensity_ratio']:.2f} in all")
    part.colorbar(image, ax=axes, extend="max", aspect=20, pad=0.02)
