"""The dual GAN: two generators trained together on unpaired data, with a discriminator per domain.

``deconvolve`` goes from domain A (convolved, measurement-like) to B (the target), ``convolve`` back.
Source: Anker et al., Digital Discovery 2 (2023) 578; DCLGAN: Han et al., CVPRW 2021.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from mantid_exp2sim.networks import build_discriminator, build_generator, build_projection
from mantid_exp2sim.networks.discriminator import patch_weights
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.projection import Projection
from mantid_exp2sim.networks.winograd import use_winograd
from mantid_exp2sim.training import losses
from mantid_exp2sim.training.config import GanConfig
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.datasets.sampler import Batches, Samples
from mantid_exp2sim.training.trainers.distributed import Share, averaged, own_device
from mantid_exp2sim.training.trainers.trainer import checked, clip_gradients, make_optimiser, step_seed

if TYPE_CHECKING:
    from mantid_exp2sim.training.losses.data_consistency import KnownOperator
    from mantid_exp2sim.training.trainers.validation import GanValidation

Net = TypeVar("Net", bound=nn.Module)

DIRECTIONS = ("deconvolve", "convolve")
"""Directions of translation: each names a generator, its projection head and its output's discriminator."""
OTHER = {"deconvolve": "convolve", "convolve": "deconvolve"}


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """A batch as a network takes it: input, intensities, masks (1 = not measured), labels, incident energies
    in meV, counterpart; ``shape`` is that of the volumes, (B, h, k, E).
    """

    x: Tensor
    intensity: Tensor
    mask: Tensor
    label: Tensor
    energy: Tensor
    counterpart: Tensor | None
    pair_mask: Tensor
    """1 where the input or its counterpart is not known."""
    shape: tuple[int, ...]

    def with_intensity(self, y: Tensor) -> Tensor:
        """The network input with other intensities, and zero where nothing was measured."""
        rest = self.x[:, self.mask.shape[1] :]
        return torch.cat([torch.where(self.mask > 0, 0.0, y.float()), rest], 1)


def stack(samples: Samples, layout: Layout, device: str = "cpu") -> Stacked:
    """Samples to network tensors, in the memory format that convolutions are fastest with."""
    x = fast_format(layout.stack(samples.x, samples.mask, samples.ei).to(device))
    n = layout.channels
    label = samples.label.repeat_interleave(x.shape[0] // len(samples.label)).to(device)
    counterpart = None if samples.counterpart is None else layout.fold(samples.counterpart).to(device)
    mask, joint = x[:, n : 2 * n], samples.counterpart_mask
    pair_mask = mask if joint is None else layout.fold(joint).to(device)
    shape = tuple(samples.x.shape)
    return Stacked(x, x[:, :n], mask, label, samples.ei.to(device), counterpart, pair_mask, shape)


def fast_format(x: Tensor) -> Tensor:
    """Channels last in 2D and 3D."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x


@dataclass(slots=True, eq=False)
class _Pass:
    """What one direction made of a batch."""

    fake: Tensor
    fake_input: Tensor
    same: Tensor | None
    keys: list[Tensor]
    queries: list[Tensor]
    back: Tensor | None


class DualGan:
    """Networks, optimisers and update of the dual GAN; a
    :class:`mantid_exp2sim.training.trainers.trainer.Task`.
    """

    def __init__(
        self,
        config: GanConfig,
        domains: Mapping[str, Batches],
        validation: GanValidation | None,
        known: KnownOperator | None = None,
    ) -> None:
        self.config, self.domains, self.validation, self.known = config, domains, validation, known
        self.layout, self.weights = config.network.layout, config.loss
        self.device = own_device(config.run.device)
        self.share = Share.own(config.schedule.batch)
        self._ahead = {name: Prefetch(domain) for name, domain in domains.items()}
        torch.manual_seed(step_seed(config.run.seed, 0, stream=1))
        paper = config.network.preset == "paper"
        self.generators: dict[str, Generator] = {}
        self.projections: dict[str, Projection] = {}
        self.discriminators: dict[str, nn.Module] = {}
        for name in DIRECTIONS:
            generator = build_generator(config.network.generator, self.layout)
            self.generators[name] = self._placed(generator)
            if self.weights.nce > 0:
                head = build_projection(generator, width=config.network.projection_width, paper=paper)
                self.projections[name] = head.to(self.device)
            if self.weights.adversarial:
                patch = build_discriminator(config.network.discriminator, self.layout)
                self.discriminators[name] = self._placed(patch)
        self.averages = copy.deepcopy(self.generators) if config.optimiser.ema > 0 else {}
        optimiser = config.optimiser
        self._optimisers = {"generator": make_optimiser(optimiser, self._of_generators())}
        if self.discriminators:
            self._optimisers["discriminator"] = make_optimiser(
                optimiser, self._of_discriminators(), optimiser.discriminator_learning_rate
            )
        learning = [*self.generators.values(), *self.projections.values()]
        self._generate = averaged(self._generator_total, learning)
        if self.discriminators:
            self._discriminate = averaged(self._discriminator_total, self.discriminators.values())

    def _placed(self, network: Net) -> Net:
        network = network.to(self.device)
        if self.config.run.precision == "float32":
            use_winograd(network)
        if self.layout.dimension > 1:
            kind = torch.channels_last if self.layout.dimension == 2 else torch.channels_last_3d
            network = network.to(memory_format=kind)  # type: ignore[call-overload]
        return network

    def _of_generators(self) -> list[nn.Parameter]:
        return _parameters(chain(self.generators.values(), self.projections.values()))

    def _of_discriminators(self) -> list[nn.Parameter]:
        return _parameters(self.discriminators.values())

    def networks(self) -> dict[str, nn.Module]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        groups: dict[str, Mapping[str, nn.Module]] = {
            "generator": self.generators,
            "average": self.averages,
            "projection": self.projections,
            "discriminator": self.discriminators,
        }
        return {f"{group}.{name}": net for group, nets in groups.items() for name, net in nets.items()}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        return self._optimisers

    def train_step(self, step: int) -> dict[str, float]:
        """One update of generators and discriminators, from the same weights; all or nothing."""
        batch = {name: self.share.samples(self._ahead[name].at(step)) for name in DIRECTIONS}
        source = {name: stack(samples, self.layout, self.device) for name, samples in batch.items()}
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, step))
        torch.manual_seed(step_seed(self.config.run.seed, step, stream=2))
        report: dict[str, Tensor] = {}
        for optimiser in self._optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        with _frozen(self._of_discriminators()):
            total, passes = self._generate(source, draws, report)
            total.backward()  # type: ignore[no-untyped-call]
        totals = {"generators' loss": total}
        clip = self.config.optimiser.clip
        report["generator_gradient"] = clip_gradients(self._of_generators(), clip)
        if self.discriminators:
            total = self._discriminate(source, passes, report)
            total.backward()  # type: ignore[no-untyped-call]
            totals["discriminators' loss"] = total
            report["discriminator_gradient"] = clip_gradients(self._of_discriminators(), clip)
        found = checked(report, totals)
        for optimiser in self._optimisers.values():
            optimiser.step()
        self._average(step)
        return found

    def _generator_total(
        self, source: Mapping[str, Stacked], draws: torch.Generator, report: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, _Pass]]:
        """What the generators minimise, and the translations it was computed from."""
        passes = {name: self._translate(name, source) for name in DIRECTIONS}
        total = torch.zeros((), device=self.device)
        for name in DIRECTIONS:
            total = total + self._generator_losses(name, source, passes, draws, report)
        return total, passes

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=self.config.run.precision == "bfloat16"
        )

    def _translate(self, name: str, source: Mapping[str, Stacked]) -> _Pass:
        """Translate a batch; with it, in the same pass, what the generator makes of its target domain."""
        own, other, weights = source[name], source[OTHER[name]], self.weights
        layers = None if weights.nce > 0 else ()
        count = len(own.x)
        with self._autocast():
            both = torch.cat([own.x, other.x]) if weights.identity > 0 else own.x
            out, features = self.generators[name].forward_features(both, layers)
            seen = self._with_noise(out[:count], own.mask) if name == "convolve" else out[:count]
            fake_input = fast_format(own.with_intensity(seen))
            back: Tensor | None = None
            queries: list[Tensor] = []
            if weights.cycle > 0:
                back, queries = self.generators[OTHER[name]].forward_features(fake_input, layers)
            elif weights.nce > 0:
                queries = self.generators[OTHER[name]].features(fake_input)
        return _Pass(
            fake=out[:count].float(),
            fake_input=fake_input,
            same=out[count:].float() if weights.identity > 0 else None,
            keys=[layer[:count].detach() for layer in features],
            queries=queries,
            back=None if back is None else back.float(),
        )

    def _with_noise(self, made: Tensor, mask: Tensor) -> Tensor:
        """What is convolved, with the counting noise that domain A has.

        The noise is known and no network should have to make it up: discriminator and way back see the
        generator's output as it would be measured.
        """
        low, high = self.config.data.noise
        if high == 0:
            return made
        scaling = self.domains["convolve"].scaling
        clean = scaling.inverse(made.float())
        one = [1] * (made.ndim - 1)
        strength = self.share.draw(len(made), lambda rows: torch.rand(rows, *one, device=made.device))
        level = low + (high - low) * strength.square()
        deviation = (level * clean.detach().clamp_min(0)).sqrt()
        noise = self.share.draw(len(made), lambda rows: torch.randn_like(_repeated(clean, rows)))
        return torch.where(mask > 0, made, scaling.forward(clean + deviation * noise))

    def _generator_losses(
        self,
        name: str,
        source: Mapping[str, Stacked],
        passes: Mapping[str, _Pass],
        draws: torch.Generator,
        report: dict[str, Tensor],
    ) -> Tensor:
        """The weighted sum for one direction."""
        own, other, made, w = source[name], source[OTHER[name]], passes[name], self.weights
        parts: dict[str, tuple[float, Tensor]] = {}
        if w.adversarial:
            with self._autocast():
                score, predicted = self.discriminators[name](made.fake_input)
            patches = patch_weights(own.mask, score.shape[2:])
            parts["gan"] = w.gan, losses.generator_loss(w.gan_kind, score.float(), patches)
            if w.auxiliary > 0:
                parts["auxiliary"] = w.auxiliary, losses.auxiliary_loss(predicted.float(), own.label, patches)
        if w.nce > 0:
            parts["nce"] = w.nce, self._contrast(name, own.mask, made, draws)
        if made.same is not None:
            parts["identity"] = w.identity, losses.masked_l1(made.same, other.intensity, other.mask)
        if w.cycle > 0 and made.back is not None:
            parts["cycle"] = w.cycle, losses.masked_l1(made.back, own.intensity, own.mask)
        if self.known is not None:
            parts |= self._physics(name, source, made)
        if w.flux > 0:
            parts["flux"] = w.flux, self._flux(made.fake, own)
        if own.counterpart is not None:
            parts |= self._against_truth(made.fake, own.counterpart, own)
        report |= {f"{name}_{part}": value for part, (_, value) in parts.items()}
        zero = torch.zeros((), device=self.device)
        return sum((weight * value for weight, value in parts.values()), zero)

    def _against_truth(self, made: Tensor, truth: Tensor, own: Stacked) -> dict[str, tuple[float, Tensor]]:
        """Losses of pairs: bin by bin, in network values and in physical units."""
        w, scaling = self.weights, self.domains["convolve"].scaling
        parts: dict[str, tuple[float, Tensor]] = {}
        if w.paired > 0:
            parts["paired"] = w.paired, losses.masked_l1(made, truth, own.pair_mask)
        if w.paired_square > 0:
            physical = scaling.inverse(made), scaling.inverse(truth.float())
            floor = w.paired_floor * scaling.intensity_scale
            parts["paired_square"] = w.paired_square, losses.relative_square(*physical, own.pair_mask, floor)
        return parts

    def _physics(
        self, name: str, source: Mapping[str, Stacked], made: _Pass
    ) -> dict[str, tuple[float, Tensor]]:
        """Losses that know the resolution R: x ≈ R·G(x), and pairs (R·b, b) of domain B alone."""
        w, known, ideal = self.weights, self.known, source["convolve"]
        assert known is not None
        parts: dict[str, tuple[float, Tensor]] = {}
        if w.consistency > 0 and name == "deconvolve":
            parts["consistency"] = w.consistency, known.consistency(made.fake, source[name])
        if w.operator > 0:
            with torch.no_grad():
                blurred = known.blur(ideal.intensity, ideal)
            if name == "convolve":
                parts["operator"] = w.operator, losses.masked_l1(made.fake, blurred, ideal.mask)
            else:
                seen = fast_format(ideal.with_intensity(self._with_noise(blurred, ideal.mask)))
                with self._autocast():
                    back = self.generators[name](seen)
                parts["operator"] = w.operator, losses.masked_l1(back.float(), ideal.intensity, ideal.mask)
        return parts

    def _flux(self, made: Tensor, own: Stacked) -> Tensor:
        """Change of the total in physical units; the floor is a tenth of the intensity scale per bin."""
        scaling = self.domains["convolve"].scaling
        floor = 0.1 * scaling.intensity_scale
        return losses.flux_loss(
            scaling.inverse(made), scaling.inverse(own.intensity.float()), own.mask, floor
        )

    def _contrast(self, name: str, mask: Tensor, made: _Pass, draws: torch.Generator) -> Tensor:
        """PatchNCE averaged over the feature layers."""
        w = self.weights
        sampled = [
            losses.sample_positions(mask, layer.shape[2:], w.patches, draws, self.share)
            for layer in made.keys
        ]
        positions = [where for where, _ in sampled]
        with torch.no_grad(), self._autocast():
            keys = self.projections[name](made.keys, positions)
        with self._autocast():
            queries = self.projections[OTHER[name]](made.queries, positions)
        each = [
            losses.patch_nce(query, key, valid, w.temperature)
            for query, key, (_, valid) in zip(queries, keys, sampled, strict=True)
        ]
        return torch.stack(each).mean()

    def _discriminator_total(
        self, source: Mapping[str, Stacked], passes: Mapping[str, _Pass], report: dict[str, Tensor]
    ) -> Tensor:
        """What the discriminators minimise."""
        total = torch.zeros((), device=self.device)
        w = self.weights
        for name in DIRECTIONS:
            own, real = source[name], source[OTHER[name]]
            with self._autocast():
                scores, predicted = self.discriminators[name](
                    torch.cat([real.x, passes[name].fake_input.detach()])
                )
            count = len(real.x)
            on = patch_weights(real.mask, scores.shape[2:]), patch_weights(own.mask, scores.shape[2:])
            value = losses.discriminator_loss(w.gan_kind, scores[:count].float(), scores[count:].float(), on)
            report[f"{name}_discriminator"] = value
            total = total + value
            if w.auxiliary_discriminator > 0:
                labelled = losses.auxiliary_loss(predicted[:count].float(), real.label, on[0])
                report[f"{name}_discriminator_class"] = labelled
                total = total + w.auxiliary_discriminator * labelled
        return total

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Move the averaged generators; faster at the start, when there is little to average."""
        keep = min(self.config.optimiser.ema, (1 + step) / (10 + step))
        for name, average in self.averages.items():
            for old, new in zip(average.parameters(), self.generators[name].parameters(), strict=True):
                old.lerp_(new, 1 - keep)

    def shipped(self, name: str) -> Generator:
        """The generator of a direction as it is validated and shipped: the average, if there is one."""
        return (self.averages or self.generators)[name]

    def check(self) -> dict[str, float]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        return {} if self.validation is None else self.validation.measure(self)

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        if self.validation is None:
            return {}
        return {name: self.validation.score(name, metrics) for name in DIRECTIONS}

    def picture(self, path: Path) -> None:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        if self.validation is not None and self.config.validation.pictures:
            self.validation.picture(self, path)


def _parameters(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


def _repeated(x: Tensor, rows: int) -> Tensor:
    """As many rows, in the same order in memory."""
    return x if rows == len(x) else torch.cat([x] * (rows // len(x)))


class _frozen:
    """No gradients for parameters inside the block."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)
