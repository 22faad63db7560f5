"""Checks of the dual GAN during a run, on samples of the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.duq import stack_panels
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.config import GanConfig
from mantid_exp2sim.training.datasets.dataset import Integers
from mantid_exp2sim.training.datasets.measured import Measurement
from mantid_exp2sim.training.datasets.sampler import DataSet, Domain, Samples
from mantid_exp2sim.training.trainers import metrics

if TYPE_CHECKING:
    from mantid_exp2sim.training.trainers.translator import DualGan

GOAL = {"deconvolve": "target", "convolve": "convolved"}
"""The domain each direction leads to."""


@torch.no_grad()
def translate_volumes(
    generator: Generator, x: Tensor, mask: Tensor, energies: Tensor, layout: Layout, *, batch: int = 24
) -> Tensor:
    """Scaled samples (n, Ei, h, k, E) through a generator, volume by volume; 0 where not measured.

    ``mask`` (Ei, h, k, E) for all or (n, Ei, h, k, E), bool, True = not measured; ``energies`` (Ei,) or
    (n, Ei) in meV. Gives float32.
    """
    device = next(generator.parameters()).device
    volumes, masks = x.flatten(0, 1), mask.expand_as(x).flatten(0, 1)
    levels = energies.expand(x.shape[:2]).flatten()
    out = []
    for start in range(0, len(volumes), batch):
        part = slice(start, start + batch)
        made = generator(layout.stack(volumes[part], masks[part].float(), levels[part]).to(device))
        out.append(layout.unstack(made, volumes[part].shape).float().cpu())
    return torch.where(mask, 0.0, torch.cat(out).reshape(x.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Validation samples of one domain: scaled, 0 where not measured.

    ``x`` (n, Ei, h, k, E); ``mask`` that or (1, Ei, h, k, E), True = unknown; ``energies`` (n, Ei) in meV;
    ``label`` (n,), −1 where it is not known.
    """

    x: Tensor
    mask: Tensor
    energies: Tensor
    label: Tensor


@dataclass(slots=True, eq=False)
class GanValidation:
    """Validation samples of both domains and what is measured on them."""

    domains: dict[str, Held]
    """``convolved`` and ``target``."""
    paired: bool
    """Whether samples at the same place are counterparts."""
    scaling: Scaling
    config: GanConfig

    def measure(self, gan: DualGan) -> dict[str, float]:
        """All metrics of both directions, and, as ``raw_…``, what untranslated data would get."""
        report: dict[str, float] = {}
        for name, goal in GOAL.items():
            source = self.domains["convolved" if goal == "target" else "target"]
            generator = gan.shipped(name).eval()
            made = translate_volumes(generator, source.x, source.mask, source.energies, gan.layout)
            generator.train()
            report |= {f"{name}_{key}": value for key, value in self._compare(made, source, name).items()}
            raw = self._compare(source.x, source, name)
            report |= {f"raw_{name}_{key}": value for key, value in raw.items()}
        return report

    def _compare(self, made: Tensor, source: Held, name: str) -> dict[str, float]:
        truth = self.domains[GOAL[name]]
        physical = self.scaling.inverse(made)
        wanted = self.scaling.inverse(truth.x if self.paired else source.x)
        report: dict[str, float] = {}
        if self.paired:
            patches = self.config.data.patch is not None
            report["relative_l2"] = metrics.relative_l2(physical, wanted, source.mask, pooled=patches)
        report["flux"] = metrics.flux_ratio(physical, wanted, source.mask)
        report["sliced"] = self._sliced(made, source, truth)
        return report

    def _sliced(self, made: Tensor, source: Held, truth: Held) -> float:
        """Of paired sets one half translated against the other half's truth: no pairs."""
        if not self.paired:
            return metrics.sliced_distance_of_sets(made, source.mask, truth.x, truth.mask)
        half = len(truth.x) // 2
        if len(source.mask) == 1:
            return metrics.sliced_distance(made[:half], truth.x[half:], source.mask[0])
        masks = source.mask[:half], truth.mask[half:]
        return metrics.sliced_distance_of_sets(made[:half], masks[0], truth.x[half:], masks[1])

    def score(self, name: str, report: Mapping[str, float]) -> float:
        """The number by which the best generator of a direction is chosen; lower is better."""
        return report[f"{name}_{self.config.validation.metric}"]

    def picture(self, gan: DualGan, path: Path) -> None:
        """One sample: convolved, its deconvolution, the target (the truth, if paired), its convolution."""
        first = {
            kind: Held(held.x[:1], held.mask[:1], held.energies[:1], held.label[:1])
            for kind, held in self.domains.items()
        }
        made = {
            name: translate_volumes(
                gan.shipped(name), first[kind].x, first[kind].mask, first[kind].energies, gan.layout
            )
            for name, kind in (("deconvolve", "convolved"), ("convolve", "target"))
        }
        rows = {
            "convolved": (first["convolved"].x, first["convolved"]),
            "deconvolved": (made["deconvolve"], first["convolved"]),
            "target": (first["target"].x, first["target"]),
            "target, convolved": (made["convolve"], first["target"]),
        }
        draw_rows(
            path,
            {title: x[0] for title, (x, _) in rows.items()},
            {title: held.mask[0] for title, (_, held) in rows.items()},
            first["convolved"].energies[0],
        )


def draw_rows(path: Path, rows: Mapping[str, Tensor], masks: Mapping[str, Tensor], energies: Tensor) -> None:
    """A PNG: one row per volume set (Ei, h, k, E), columns are windows of three incident energies."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    windows = next(iter(rows.values())).shape[3]
    chosen = [(e, w) for e in sorted({0, len(energies) // 2, len(energies) - 1}) for w in _spread(windows)]
    figure = Figure(figsize=(1.2 * len(chosen) + 1, 1.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(len(rows), len(chosen), squeeze=False)
    top = [float(torch.stack([v[e, :, :, w] for v in rows.values()]).max()) for e, w in chosen]
    for row, (title, volumes) in enumerate(rows.items()):
        for column, (e, w) in enumerate(chosen):
            panel = volumes[e, :, :, w].masked_fill(masks[title][e, :, :, w], float("nan"))
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
    dataset: DataSet,
    config: GanConfig,
    scaling: Scaling,
    measurement: Measurement | None = None,
) -> GanValidation:
    """Read the validation samples: mosaics of a simulated set, else single volumes or patches.

    Of a domain without a validation split (one measurement, say) training samples are taken. The measurement
    is looked at only where the data set has no convolved domain of its own.
    """
    if dataset.shares_mask and config.data.patch is None:
        return GanValidation(_mosaics(dataset, config, scaling), True, scaling, config)
    domains, paired = _drawn(dataset, config, scaling, measurement)
    if config.validation.metric == "relative_l2" and not paired:
        raise Exp2SimError(
            "The metric 'relative_l2' needs pairs, and the validation split has none.",
            fix='Set metric = "sliced" in [validation], or build the data set with pairs = true.',
        )
    return GanValidation(domains, paired, scaling, config)


def _mosaics(dataset: DataSet, config: GanConfig, scaling: Scaling) -> dict[str, Held]:
    """Whole mosaics of a simulated set, paired by position."""
    indices = dataset.split("validation", config.validation.count)
    mask = torch.from_numpy(dataset.mask)
    return {
        name: Held(
            torch.where(mask, 0.0, scaling.forward(torch.from_numpy(dataset.read(kind, indices)))),
            mask[None],
            torch.from_numpy(dataset.energies)[None],
            torch.from_numpy(dataset.labels(indices)),
        )
        for name, kind in (("convolved", "convolved"), ("target", config.data.target))
    }


def _drawn(
    dataset: DataSet, config: GanConfig, scaling: Scaling, measurement: Measurement | None
) -> tuple[dict[str, Held], bool]:
    """Volumes or patches, drawn like training samples but as they are; and whether they are paired."""
    settings = config.data.model_copy(
        update={
            "augment": (),
            "noise": (0.0, 0.0),
            "background": 0.0,
            "subtraction_noise": 0.0,
            "intensity_jitter": 0.0,
            "memory": False,
        }
    )

    def samples(source: DataSet, kind: str, indices: Integers, other: str | None = None) -> Samples:
        return Domain(
            source,
            settings,
            kind=kind,
            other=other,
            indices=indices,
            scaling=scaling,
            batch=max(2, min(config.validation.count, 4096)),
            seed=config.run.seed,
            stream=3,
        ).at(0)

    def found(kind: str) -> Integers:
        indices = dataset.split("validation", kind=kind)
        return indices if len(indices) else dataset.split("train", kind=kind)

    target = config.data.target
    if "convolved" in dataset.description.kinds:
        convolved = found("convolved")
        pairs = convolved[dataset.counterparts(convolved, "convolved") >= 0]
        if len(pairs):
            both = samples(dataset, "convolved", pairs, target)
            joint = both.mask if both.counterpart_mask is None else both.counterpart_mask
            assert both.counterpart is not None
            parts = {"convolved": both.x, "target": both.counterpart}
            return {name: _held(both, x, joint) for name, x in parts.items()}, True
        one = samples(dataset, "convolved", convolved)
    elif measurement is not None:
        one = samples(measurement.dataset, "convolved", measurement.indices)
    else:
        raise Exp2SimError(f"The data set {dataset.folder} has no convolved domain, and nothing is measured.")
    two = samples(dataset, target, found(target))
    return {"convolved": _held(one, one.x, one.mask), "target": _held(two, two.x, two.mask)}, False


def _held(samples: Samples, x: Tensor, mask: Tensor) -> Held:
    unknown = mask[:, None] > 0.5
    return Held(x[:, None].masked_fill(unknown, 0.0), unknown, samples.ei[:, None], samples.label)


def classifier_input(x: Tensor, mask: Tensor, form: str) -> Tensor:
    """Scaled samples (n, Ei, h, k, E) as classifier input: whole mosaics, or each Ei's volume by itself.

    ``mask`` is of that shape, or (Ei, h, k, E) for all.
    """
    if form == "mosaic":
        return stack_panels(x, mask)
    return stack_panels(x.flatten(0, 1)[:, None], mask.expand_as(x).flatten(0, 1)[:, None])
