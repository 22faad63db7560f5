"""Training of a translator: two generators trained together, by the losses of a recipe.

``deconvolve`` goes from convolved data to the target, ``convolve`` back. With adversarial losses it is the
dual GAN of Anker et al., Digital Discovery 2 (2023) 578; DCLGAN: Han et al., CVPRW 2021.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mantid_exp2sim.model.card import DIRECTIONS
from mantid_exp2sim.networks import build_discriminator, build_generator, build_projection
from mantid_exp2sim.networks.discriminator import patch_weights
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.networks.projection import Projection
from mantid_exp2sim.training.config import TranslatorConfig
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.datasets.sampler import Batches
from mantid_exp2sim.training.losses import find_needs, make_losses
from mantid_exp2sim.training.losses.known_operator import KnownOperator
from mantid_exp2sim.training.losses.loss import (
    OTHER,
    Batch,
    Context,
    Scores,
    Translation,
    fast_format,
    stack,
)
from mantid_exp2sim.training.trainers.distributed import Share, averaged, local_device
from mantid_exp2sim.training.trainers.trainer import (
    clip_gradients,
    make_optimiser,
    move_average,
    read_scalars,
    step_seed,
)
from mantid_exp2sim.training.trainers.validation import TranslatorValidation

Net = TypeVar("Net", bound=nn.Module)


class TranslatorTrainer:
    """Networks, optimisers and update of a translator; a `Task`."""

    def __init__(
        self,
        config: TranslatorConfig,
        sources: Mapping[str, Batches],
        validation: TranslatorValidation | None,
        *,
        resolution: KnownOperator | None = None,
        device: str = "cpu",
    ) -> None:
        self.config, self.sources, self.validation = config, sources, validation
        self.layout, self.needs = config.network.layout, find_needs(config.losses)
        self.device = local_device(device)
        self.share = Share.of_this_process(config.schedule.batch)
        self._ahead = {direction: Prefetch(source) for direction, source in sources.items()}
        torch.manual_seed(step_seed(config.run.seed, 0, stream=1))
        self.generators: dict[str, Generator] = {}
        self.projections: dict[str, Projection] = {}
        self.discriminators: dict[str, nn.Module] = {}
        for direction in DIRECTIONS:
            self._build(direction)
        self.averages = copy.deepcopy(self.generators) if config.optimiser.ema > 0 else {}
        optimiser = config.optimiser
        self._optimisers = {"generator": make_optimiser(optimiser, self._of_generators())}
        if self.discriminators:
            self._optimisers["discriminator"] = make_optimiser(
                optimiser, self._of_discriminators(), optimiser.discriminator_learning_rate
            )
        self.scaling = sources["convolve"].scaling
        self.losses = make_losses(config.losses, self._context(resolution))
        learning = [*self.generators.values(), *self.projections.values()]
        self._generate = averaged(self._generator_total, learning)
        if self.discriminators:
            self._discriminate = averaged(self._discriminator_total, self.discriminators.values())

    def _build(self, direction: str) -> None:
        network = self.config.network
        generator = build_generator(network.generator, self.layout)
        self.generators[direction] = self._place(generator)
        if "features" in self.needs:
            paper = network.preset == "paper"
            head = build_projection(generator, width=network.projection_width, paper=paper)
            self.projections[direction] = head.to(self.device)
        if "discriminators" in self.needs:
            discriminator = build_discriminator(network.discriminator, self.layout)
            self.discriminators[direction] = self._place(discriminator)

    def _place(self, network: Net) -> Net:
        network = network.to(self.device)
        if self.layout.dimension > 1:
            kind = torch.channels_last if self.layout.dimension == 2 else torch.channels_last_3d
            network = network.to(memory_format=kind)  # type: ignore[call-overload]
        return network

    def _context(self, resolution: KnownOperator | None) -> Context:
        return Context(
            generators=self.generators,
            projections=self.projections,
            discriminators=self.discriminators,
            scaling=self.scaling,
            autocast=self._autocast,
            draw=self.share.draw,
            add_noise=self._add_noise,
            resolution=resolution,
        )

    def _of_generators(self) -> list[nn.Parameter]:
        return _parameters(chain(self.generators.values(), self.projections.values()))

    def _of_discriminators(self) -> list[nn.Parameter]:
        return _parameters(self.discriminators.values())

    def networks(self) -> dict[str, nn.Module]:
        """See `Task`."""
        groups: dict[str, Mapping[str, nn.Module]] = {
            "generator": self.generators,
            "average": self.averages,
            "projection": self.projections,
            "discriminator": self.discriminators,
        }
        return {f"{group}.{name}": net for group, nets in groups.items() for name, net in nets.items()}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See `Task`."""
        return self._optimisers

    def train_step(self, step: int) -> dict[str, float]:
        """Update generators and discriminators once, from the same weights; all or nothing."""
        samples = {name: self.share.samples(self._ahead[name].at(step)) for name in DIRECTIONS}
        batch: dict[str, Batch] = {
            name: stack(samples[name], self.layout, self.device) for name in DIRECTIONS
        }
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, step))
        torch.manual_seed(step_seed(self.config.run.seed, step, stream=2))
        report: dict[str, Tensor] = {}
        for optimiser in self._optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        with _without_gradients(self._of_discriminators()):
            total, translations = self._generate(batch, draws, report)
            total.backward()  # type: ignore[no-untyped-call]
        totals = {"generators' loss": total}
        clip = self.config.optimiser.clip
        report["generator_gradient"] = clip_gradients(self._of_generators(), clip)
        if self.discriminators:
            total = self._discriminate(batch, translations, report)
            total.backward()  # type: ignore[no-untyped-call]
            totals["discriminators' loss"] = total
            report["discriminator_gradient"] = clip_gradients(self._of_discriminators(), clip)
        scalars = read_scalars(report, totals)
        for optimiser in self._optimisers.values():
            optimiser.step()
        for name, average in self.averages.items():
            move_average(
                average.parameters(), self.generators[name].parameters(), self.config.optimiser.ema, step
            )
        return scalars

    def _generator_total(
        self, batch: Mapping[str, Batch], draws: torch.Generator, report: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Translation]]:
        """Compute what the generators minimise, and the translations that it comes from."""
        translations: dict[str, Translation] = {
            name: self._translate(name, batch, draws) for name in DIRECTIONS
        }
        zero = torch.zeros((), device=self.device)
        total = zero
        for direction, translation in translations.items():
            if self.discriminators:
                (translation.scores,) = self._judge(direction, translation.as_input, batch[direction].mask)
            terms = [(loss, loss.forward(batch, translation)) for loss in self.losses]
            report |= {f"{direction}_{loss.name}": value for loss, value in terms if value is not None}
            total = total + sum((loss.weight * value for loss, value in terms if value is not None), zero)
        return total, translations

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=self.config.run.precision == "bfloat16"
        )

    def _translate(self, direction: str, batch: Mapping[str, Batch], draws: torch.Generator) -> Translation:
        """Translate a batch and, in the same pass, data of the kind that the direction leads to."""
        source, goal = batch[direction], batch[OTHER[direction]]
        layers = None if "features" in self.needs else ()
        count = len(source.x)
        with self._autocast():
            x = torch.cat([source.x, goal.x]) if "identity" in self.needs else source.x
            out, features = self.generators[direction].forward_features(x, layers)
            output = out[:count]
            measured = self._add_noise(output, source.mask) if direction == "convolve" else output
            as_input = fast_format(source.with_intensity(measured))
            back: Tensor | None = None
            queries: list[Tensor] = []
            if "back" in self.needs:
                back, queries = self.generators[OTHER[direction]].forward_features(as_input, layers)
            elif "features" in self.needs:
                queries = self.generators[OTHER[direction]].features(as_input)
        return Translation(
            direction=direction,
            output=output.float(),
            as_input=as_input,
            same=out[count:].float() if "identity" in self.needs else None,
            back=None if back is None else back.float(),
            keys=[layer[:count].detach() for layer in features],
            queries=queries,
            draws=draws,
        )

    def _add_noise(self, convolved: Tensor, mask: Tensor) -> Tensor:
        """Give what is convolved the counting noise that convolved data have.

        The noise is known and no network should have to make it up: discriminator and way back see the
        generator's output as it would be measured.
        """
        low, high = self.config.data.noise.counting
        if high == 0:
            return convolved
        clean = self.scaling.inverse(convolved.float())
        ones = [1] * (convolved.ndim - 1)
        strength = self.share.draw(len(clean), lambda rows: torch.rand(rows, *ones, device=clean.device))
        level = low + (high - low) * strength.square()
        deviation = (level * clean.detach().clamp_min(0)).sqrt()
        noise = self.share.draw(len(clean), lambda rows: torch.randn_like(_repeat(clean, rows)))
        return torch.where(mask > 0, convolved, self.scaling.forward(clean + deviation * noise))

    def _judge(self, direction: str, x: Tensor, *masks: Tensor) -> list[Scores]:
        """Score network inputs by the discriminator of a direction; one part of ``x`` for each mask."""
        with self._autocast():
            real, label = self.discriminators[direction](x)
        parts = zip(real.chunk(len(masks)), label.chunk(len(masks)), masks, strict=True)
        return [
            Scores(score.float(), classes.float(), patch_weights(mask, score.shape[2:]))
            for score, classes, mask in parts
        ]

    def _discriminator_total(
        self,
        batch: Mapping[str, Batch],
        translations: Mapping[str, Translation],
        report: dict[str, Tensor],
    ) -> Tensor:
        """Compute what the discriminators minimise: real data beside what was translated."""
        total = torch.zeros((), device=self.device)
        for direction in DIRECTIONS:
            source, goal = batch[direction], batch[OTHER[direction]]
            both = torch.cat([goal.x, translations[direction].as_input.detach()])
            real, fake = self._judge(direction, both, goal.mask, source.mask)
            for loss in self.losses:
                term = loss.discriminate(real, fake, goal.label)
                if term is not None:
                    report[f"{direction}_{term[0]}"] = term[1]
                    total = total + term[1]
        return total

    def shipped(self, name: str) -> Generator:
        """Return the generator of a direction as it is shipped: the average, if there is one."""
        return (self.averages or self.generators)[name]

    def _shipped_generators(self) -> dict[str, Generator]:
        return {direction: self.shipped(direction) for direction in DIRECTIONS}

    def check(self) -> dict[str, float]:
        """See `Task`."""
        return {} if self.validation is None else self.validation.measure(self._shipped_generators())

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """See `Task`."""
        if self.validation is None:
            return {}
        return {direction: self.validation.score(direction, metrics) for direction in DIRECTIONS}

    def picture(self, path: Path) -> None:
        """See `Task`."""
        if self.validation is not None:
            self.validation.picture(self._shipped_generators(), path)


def _parameters(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


def _repeat(x: Tensor, rows: int) -> Tensor:
    """Repeat a batch to this many rows, in the same order in memory."""
    return x if rows == len(x) else torch.cat([x] * (rows // len(x)))


@contextmanager
def _without_gradients(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Compute no gradients for parameters inside the block."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
