"""Checks of the dual GAN during a run, on mosaics of the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mantid_exp2sim.training import metrics
from mantid_exp2sim.training.config import GanConfig
from mantid_exp2sim.training.datasets import DataSet
from torch import Tensor

from mantid_exp2sim.atomic import atomic_path
from mantid_exp2sim.layout import Layout
from mantid_exp2sim.networks.duq import stack_panels
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.scaling import Scaling

if TYPE_CHECKING:
    from mantid_exp2sim.training.gan import DualGan
    from mantid_exp2sim.training.runs import TrainedClassifier

GOAL = {"deconvolve": "target", "convolve": "convolved"}
"""The domain each direction leads to."""


@torch.no_grad()
def translate_volumes(
    generator: Generator, x: Tensor, mask: Tensor, energies: Tensor, layout: Layout, *, batch: int = 24
) -> Tensor:
    """Scaled mosaics (n, Ei, h, k, E) through a generator, as six volumes each; 0 where not measured.

    ``mask`` (Ei, h, k, E) bool, True = not measured; ``energies`` (Ei,) in meV. Gives float32.
    """
    device = next(generator.parameters()).device
    volumes = x.flatten(0, 1)
    masks, levels = mask.float().repeat(len(x), 1, 1, 1), energies.repeat(len(x))
    out = []
    for start in range(0, len(volumes), batch):
        part = slice(start, start + batch)
        made = generator(layout.stack(volumes[part], masks[part], levels[part]).to(device))
        out.append(layout.unstack(made, volumes[part].shape).float().cpu())
    return torch.where(mask, 0.0, torch.cat(out).reshape(x.shape))


@dataclass(slots=True, eq=False)
class GanValidation:
    """Validation mosaics of both domains (scaled, paired by position) and what is measured on them."""

    domains: dict[str, Tensor]
    """``convolved`` and ``target``: (n, Ei, h, k, E), scaled, 0 where not measured."""
    label: Tensor
    mask: Tensor
    energies: Tensor
    scaling: Scaling
    config: GanConfig
    classifiers: dict[str, TrainedClassifier]
    """By the direction whose output it reads."""

    def measure(self, gan: DualGan) -> dict[str, float]:
        """All metrics of both directions, and, as ``raw_…``, what untranslated data would get."""
        report: dict[str, float] = {}
        for name, goal in GOAL.items():
            source = self.domains["convolved" if goal == "target" else "target"]
            generator = gan.shipped(name).eval()
            made = translate_volumes(generator, source, self.mask, self.energies, gan.layout)
            generator.train()
            report |= {f"{name}_{key}": value for key, value in self._compare(made, name).items()}
            report |= {f"raw_{name}_{key}": value for key, value in self._compare(source, name).items()}
        return report

    def _compare(self, made: Tensor, name: str) -> dict[str, float]:
        truth = self.domains[GOAL[name]]
        half = len(truth) // 2
        physical, wanted = self.scaling.inverse(made), self.scaling.inverse(truth)
        report = {
            "relative_l2": metrics.relative_l2(physical, wanted, self.mask),
            "flux": metrics.flux_ratio(physical, wanted, self.mask),
            # one half translated against the other half's truth: no pairs
            "sliced": metrics.sliced_distance(made[:half], truth[half:], self.mask),
        }
        if name in self.classifiers:
            found = self.classifiers[name].correlations(physical, self.mask)
            report["accuracy"] = metrics.accuracy(found, self.label)
            report["nll"] = metrics.negative_log_likelihood(found, self.label)
        return report

    def score(self, name: str, report: Mapping[str, float]) -> float:
        """The number by which the best generator of a direction is chosen; lower is better.

        ``classifier``: share of wrong predictions + 0.01 × negative log likelihood (which breaks ties).
        """
        if self.config.validation.metric == "classifier" and f"{name}_accuracy" in report:
            return 1 - report[f"{name}_accuracy"] + 0.01 * report[f"{name}_nll"]
        key = "relative_l2" if self.config.validation.metric == "relative_l2" else "sliced"
        return report[f"{name}_{key}"]

    def picture(self, gan: DualGan, path: Path) -> None:
        """One validation mosaic: convolved, its deconvolution, the truth, and the truth's convolution."""
        source = {kind: volumes[:1] for kind, volumes in self.domains.items()}
        made = {
            name: translate_volumes(gan.shipped(name), source[kind], self.mask, self.energies, gan.layout)
            for name, kind in (("deconvolve", "convolved"), ("convolve", "target"))
        }
        draw_rows(
            path,
            {
                "convolved": source["convolved"][0],
                "deconvolved": made["deconvolve"][0],
                "target": source["target"][0],
                "target, convolved": made["convolve"][0],
            },
            self.mask,
            self.energies,
        )


def draw_rows(path: Path, rows: Mapping[str, Tensor], mask: Tensor, energies: Tensor) -> None:
    """A PNG: one row per volume set (Ei, h, k, E), columns are windows of three incident energies."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = [
        (e, w) for e in sorted({0, len(energies) // 2, len(energies) - 1}) for w in _spread(mask.shape[3])
    ]
    figure = Figure(figsize=(1.2 * len(chosen) + 1, 1.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(len(rows), len(chosen), squeeze=False)
    top = [float(torch.stack([v[e, :, :, w] for v in rows.values()]).max()) for e, w in chosen]
    for row, (title, volumes) in enumerate(rows.items()):
        for column, (e, w) in enumerate(chosen):
            panel = volumes[e, :, :, w].masked_fill(mask[e, :, :, w], float("nan"))
            axis = axes[row, column]
            axis.imshow(panel.numpy(), vmin=0, vmax=top[column] or 1.0, origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(f"{float(energies[e]):g} meV, {w}", fontsize=7)
            if column == 0:
                axis.set_ylabel(title, fontsize=7)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _spread(windows: int) -> list[int]:
    return sorted({windows // 5, windows // 2, (4 * windows) // 5})


def make_validation(
    dataset: DataSet, config: GanConfig, scaling: Scaling, classifiers: dict[str, TrainedClassifier]
) -> GanValidation:
    """Read the validation mosaics."""
    indices = dataset.split("validation", config.validation.count)
    kinds = {"convolved": "convolved", "target": config.data.target}
    mask = torch.from_numpy(dataset.mask)
    domains = {
        name: torch.where(mask, 0.0, scaling.forward(torch.from_numpy(dataset.read(kind, indices))))
        for name, kind in kinds.items()
    }
    return GanValidation(
        domains=domains,
        label=torch.from_numpy(dataset.labels(indices)),
        mask=mask,
        energies=torch.from_numpy(dataset.energies),
        scaling=scaling,
        config=config,
        classifiers=classifiers,
    )


def classifier_input(x: Tensor, mask: Tensor, form: str) -> Tensor:
    """Scaled mosaics (n, Ei, h, k, E) as classifier input: whole mosaics, or each Ei's volume by itself."""
    if form == "mosaic":
        return stack_panels(x, mask)
    return stack_panels(x.flatten(0, 1)[:, None], mask.repeat(len(x), 1, 1, 1)[:, None])
