"""Checks of a translator during a run, on samples of the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.config import TranslatorConfig
from mantid_exp2sim.training.datasets.dataset import Integers
from mantid_exp2sim.training.datasets.measured import Measurement
from mantid_exp2sim.training.datasets.sampler import DataSet, Domain, Samples
from mantid_exp2sim.training.trainers import metrics
from mantid_exp2sim.training.trainers.pictures import panel_rows

GOAL = {"deconvolve": "target", "convolve": "convolved"}
"""The data kind that each direction leads to."""
SOURCE = {"deconvolve": "convolved", "convolve": "target"}
COUNT = 64
"""Mosaics of the validation split, where the recipe does not say."""


@torch.no_grad()
def translate_volumes(
    generator: Generator, x: Tensor, mask: Tensor, energies: Tensor, layout: Layout, *, batch: int = 24
) -> Tensor:
    """Translate scaled samples (n, Ei, h, k, E), volume by volume; 0 where not measured.

    ``mask`` (Ei, h, k, E) for all or (n, Ei, h, k, E), bool, True = not measured; ``energies`` (Ei,) or
    (n, Ei) in meV. Gives float32.
    """
    device = next(generator.parameters()).device
    volumes, masks = x.flatten(0, 1), mask.expand_as(x).flatten(0, 1)
    levels = energies.expand(x.shape[:2]).flatten()
    translated = []
    for start in range(0, len(volumes), batch):
        part = slice(start, start + batch)
        output = generator(layout.stack(volumes[part], masks[part].float(), levels[part]).to(device))
        translated.append(layout.unstack(output, volumes[part].shape).float().cpu())
    return torch.where(mask, 0.0, torch.cat(translated).reshape(x.shape))


@dataclass(frozen=True, slots=True, eq=False)
class ValidationSamples:
    """Validation samples of one data kind: scaled, 0 where not measured.

    ``x`` (n, Ei, h, k, E); ``mask`` that or (1, Ei, h, k, E), True = not measured; ``energies`` (n, Ei) or
    (1, Ei) in meV.
    """

    x: Tensor
    mask: Tensor
    energies: Tensor

    def first(self) -> ValidationSamples:
        """Return the first sample alone."""
        return ValidationSamples(self.x[:1], self.mask[:1], self.energies[:1])

    def translate(self, generator: Generator, layout: Layout) -> Tensor:
        """Translate them; see `translate_volumes`."""
        return translate_volumes(generator, self.x, self.mask, self.energies, layout)


@dataclass(slots=True, eq=False)
class TranslatorValidation:
    """Validation samples of both data kinds and what is measured on them."""

    samples: dict[str, ValidationSamples]
    """``convolved`` and ``target``."""
    paired: bool
    """Whether samples at the same place are counterparts."""
    scaling: Scaling
    config: TranslatorConfig

    def measure(self, generators: Mapping[str, Generator]) -> dict[str, float]:
        """Measure both directions and, as ``raw_…``, untranslated data."""
        report: dict[str, float] = {}
        for direction, generator in generators.items():
            source = self.samples[SOURCE[direction]]
            generator.eval()
            output = source.translate(generator, self.config.network.layout)
            generator.train()
            for prefix, x in (("", output), ("raw_", source.x)):
                figures = self._compare(x, source, self.samples[GOAL[direction]])
                report |= {f"{prefix}{direction}_{name}": value for name, value in figures.items()}
        return report

    def _compare(self, x: Tensor, source: ValidationSamples, goal: ValidationSamples) -> dict[str, float]:
        physical = self.scaling.inverse(x)
        truth = self.scaling.inverse(goal.x if self.paired else source.x)
        report: dict[str, float] = {}
        if self.paired:
            pooled = self.config.data.patch is not None
            report["relative_l2"] = metrics.relative_l2(physical, truth, source.mask, pooled=pooled)
        report["flux"] = metrics.flux_ratio(physical, truth, source.mask)
        report["sliced"] = self._sliced(x, source, goal)
        return report

    def _sliced(self, x: Tensor, source: ValidationSamples, goal: ValidationSamples) -> float:
        """Compare, of paired sets, one half translated with the other half's truth: no pairs."""
        masks = source.mask.expand_as(source.x), goal.mask.expand_as(goal.x)
        if not self.paired:
            return metrics.sliced_distance(x, masks[0], goal.x, masks[1])
        half = len(goal.x) // 2
        return metrics.sliced_distance(x[:half], masks[0][:half], goal.x[half:], masks[1][half:])

    def score(self, direction: str, report: Mapping[str, float]) -> float:
        """Return the number by which the best generator of a direction is chosen; lower is better."""
        metric = "relative_l2" if self.paired and self.config.losses.needs_pairs else "sliced"
        return report[f"{direction}_{metric}"]

    def picture(self, generators: Mapping[str, Generator], path: Path) -> None:
        """Draw a convolved sample, its deconvolution, a target (the truth, if paired), its convolution."""
        first = {kind: samples.first() for kind, samples in self.samples.items()}
        output = {
            name: first[SOURCE[name]].translate(generator, self.config.network.layout)[0]
            for name, generator in generators.items()
        }
        rows = {
            "convolved": (first["convolved"].x[0], first["convolved"].mask[0]),
            "deconvolved": (output["deconvolve"], first["convolved"].mask[0]),
            "target": (first["target"].x[0], first["target"].mask[0]),
            "target, convolved": (output["convolve"], first["target"].mask[0]),
        }
        figure = panel_rows(rows, first["convolved"].energies[0].tolist())
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)


def make_validation(
    dataset: DataSet,
    config: TranslatorConfig,
    scaling: Scaling,
    measurement: Measurement | None = None,
) -> TranslatorValidation:
    """Read the validation samples: mosaics of a simulated set, else single volumes or patches.

    Of a data kind without a validation split (one measurement, say) training samples are taken. The
    measurement is looked at only where the data set has no convolved data.
    """
    count = config.validation.count or COUNT
    if dataset.shares_mask and config.data.patch is None:
        return TranslatorValidation(_read_mosaics(dataset, config, scaling, count), True, scaling, config)
    samples, paired = _draw_volumes(dataset, config, scaling, count, measurement)
    return TranslatorValidation(samples, paired, scaling, config)


def _read_mosaics(
    dataset: DataSet, config: TranslatorConfig, scaling: Scaling, count: int
) -> dict[str, ValidationSamples]:
    """Read whole mosaics of a simulated set, paired by position."""
    indices = dataset.split("validation", count)
    mask = torch.from_numpy(dataset.mask)
    energies = torch.from_numpy(dataset.energies)[None]
    samples = {}
    for name, kind in (("convolved", "convolved"), ("target", config.data.target)):
        x = scaling.forward(torch.from_numpy(dataset.read(kind, indices)))
        samples[name] = ValidationSamples(torch.where(mask, 0.0, x), mask[None], energies)
    return samples


def _draw_volumes(
    dataset: DataSet,
    config: TranslatorConfig,
    scaling: Scaling,
    count: int,
    measurement: Measurement | None,
) -> tuple[dict[str, ValidationSamples], bool]:
    """Draw volumes or patches like training samples, but as they are; tell whether they are paired."""
    settings = config.data.model_copy(
        update={"augment": (), "noise": MeasurementNoise(), "intensity_jitter": 0.0, "memory": False}
    )

    def draw(source: DataSet, kind: str, indices: Integers, other: str | None = None) -> Samples:
        return Domain(
            source,
            settings,
            kind=kind,
            other=other,
            indices=indices,
            scaling=scaling,
            batch=max(2, min(count, 4096)),
            seed=config.run.seed,
            stream=3,
        ).at(0)

    def indices_of(kind: str) -> Integers:
        indices = dataset.split("validation", kind=kind)
        return indices if len(indices) else dataset.split("train", kind=kind)

    target = config.data.target
    if "convolved" in dataset.description.kinds:
        indices = indices_of("convolved")
        pairs = indices[dataset.counterparts(indices, "convolved") >= 0]
        if len(pairs):
            both = draw(dataset, "convolved", pairs, target)
            joint = both.mask if both.counterpart_mask is None else both.counterpart_mask
            assert both.counterpart is not None
            parts = {"convolved": both.x, "target": both.counterpart}
            return {name: _of_volumes(both, x, joint) for name, x in parts.items()}, True
        convolved = draw(dataset, "convolved", indices)
    elif measurement is not None:
        convolved = draw(measurement.dataset, "convolved", measurement.indices)
    else:
        raise Exp2SimError(
            f"The data set {dataset.folder} has no convolved data, and nothing is measured.",
            fix="Name measurements in [data.measured], or build the data set with [[convolved]] files.",
        )
    ideal = draw(dataset, target, indices_of(target))
    samples = {"convolved": convolved, "target": ideal}
    return {name: _of_volumes(part, part.x, part.mask) for name, part in samples.items()}, False


def _of_volumes(samples: Samples, x: Tensor, mask: Tensor) -> ValidationSamples:
    unknown = mask[:, None] > 0.5
    return ValidationSamples(x[:, None].masked_fill(unknown, 0.0), unknown, samples.ei[:, None])
