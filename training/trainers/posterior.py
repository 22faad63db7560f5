"""Training of a posterior: the density of the true constants under the network's mixtures is maximised.

Each spectrum is drawn with its constants from their prior, so what is learned is the posterior (Papamakarios
and Murray, NeurIPS 2016). The conditions of measurement are drawn anew for every batch: the posterior is
that of the constants alone, all these integrated over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import PosteriorSettings, build_posterior
from mantid_exp2sim.networks.posterior import PosteriorNetwork
from mantid_exp2sim.training.config import PosteriorConfig
from mantid_exp2sim.training.datasets.constants import Ranges, standard_constants
from mantid_exp2sim.training.datasets.dataset import Integers, SimulatedSet
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.datasets.sampler import Domain
from mantid_exp2sim.training.trainers.distributed import Share, averaged, local_device
from mantid_exp2sim.training.trainers.trainer import (
    clip_gradients,
    make_optimiser,
    move_average,
    read_scalars,
    step_seed,
)

UNCHANGED = Scaling(kind="linear")
"""The network scales each volume itself."""


class PosteriorTrainer:
    """The posterior and its update; a `Task`."""

    def __init__(
        self, config: PosteriorConfig, dataset: SimulatedSet, ranges: Ranges, *, device: str = "cpu"
    ) -> None:
        self.config, self.ranges = config, ranges
        self.device = local_device(device)
        self.share = Share.of_this_process(config.schedule.batch)
        torch.manual_seed(step_seed(config.run.seed, 0, stream=1))
        settings = network_settings(dataset, config, ranges)
        self.network = build_posterior(settings).to(self.device)
        self.average = build_posterior(settings).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = make_optimiser(config.optimiser, self.network.parameters())
        self._losses = averaged(self._total, [self.network])
        kind = config.data.kind
        indices = dataset.split("train", config.data.limit, kind=kind)
        self.source = self._domain(dataset, indices, config.schedule.batch, stream=0)
        self.constants = standard_constants(dataset, ranges, indices)
        self._ahead = Prefetch(self.source)
        valid = dataset.split("validation", config.validation.count, kind=kind)
        domain = self._domain(dataset, valid, len(valid), stream=1)
        self.valid = domain.at(0)
        rows = domain.order.at(0)
        self.valid_constants = [z[rows] for z in standard_constants(dataset, ranges, valid)]

    def _domain(
        self,
        dataset: SimulatedSet,
        indices: Integers,
        batch: int,
        stream: int,
    ) -> Domain:
        return Domain(
            dataset,
            self.config.data,
            kind=self.config.data.kind,
            indices=indices,
            scaling=UNCHANGED,
            batch=batch,
            seed=self.config.run.seed,
            stream=stream,
            noisy=True,
            whole=True,
        )

    def networks(self) -> dict[str, nn.Module]:
        """See `Task`."""
        return {"posterior": self.network, "average": self.average}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See `Task`."""
        return {"posterior": self.optimiser}

    def train_step(self, step: int) -> dict[str, float]:
        """Update once; all or nothing."""
        samples, rows = self._ahead.at(step), self.source.order.at(step)
        mine = slice(self.share.number, None, self.share.of)
        torch.manual_seed(step_seed(self.config.run.seed, step, stream=2))
        self.optimiser.zero_grad(set_to_none=True)
        constants = [torch.from_numpy(z[rows][mine]).float().to(self.device) for z in self.constants]
        total = self._losses(samples.x[mine].to(self.device), samples.mask[mine].to(self.device), constants)
        total.backward()  # type: ignore[no-untyped-call]
        report = {"gradient": clip_gradients(self.network.parameters(), self.config.optimiser.clip)}
        scalars = read_scalars({**report, "loss": total.detach()}, {})
        self.optimiser.step()
        states = self.average.state_dict().values(), self.network.state_dict().values()
        move_average(*states, self.config.optimiser.ema, step)
        return scalars

    def _total(self, x: Tensor, mask: Tensor, constants: list[Tensor]) -> Tensor:
        """Compute what is minimised: the mean of -ln p(constants) over the samples."""
        return torch.cat(_surprises(self.network, x, mask, constants)).mean()

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Measure -ln p of the validation spectra, and how narrow the posteriors are."""
        network = self.average.eval()
        report = {}
        both = [torch.from_numpy(z).float() for z in self.valid_constants]
        surprises = _surprises(network, self.valid.x, self.valid.mask, both)
        report["surprise"] = float(torch.cat(surprises).mean())
        for name, values in zip(self.ranges, surprises, strict=True):
            report[f"surprise_{name}"] = float(values.mean())
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, 0, stream=3))
        mixtures = network(self.valid.x, self.valid.mask)
        for (name, constants), mixture, z in zip(self.ranges.items(), mixtures, both, strict=True):
            own = ~z[:, 0].isnan()
            points = mixture.draw(200, draws)[own]
            share = torch.special.ndtr(points)
            prior = 12**-0.5  # of a uniform distribution
            for number, constant in enumerate(constants):
                report[f"width_{name}_{constant}"] = float(share[..., number].std(1).median() / prior)
            rank = (points < z[own][:, None]).float().mean(1)
            report[f"inside_68_{name}"] = float(((rank > 0.16) & (rank < 0.84)).float().mean())
        return report

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the mean of -ln p(constants)."""
        return {"posterior": metrics["surprise"]}

    def shipped(self, name: str) -> PosteriorNetwork:
        """Return the averaged posterior."""
        return self.average

    def picture(self, path: Path) -> None:
        """A posterior draws nothing."""


def network_settings(dataset: SimulatedSet, config: PosteriorConfig, ranges: Ranges) -> PosteriorSettings:
    """Settings of the network for the spectra of a data set."""
    energies, _, _, windows = dataset.description.shape
    network = config.network
    return PosteriorSettings(
        panels=energies * windows,
        constants=tuple(len(limits) for limits in ranges.values()),
        width=network.width,
        fold=network.fold,
        components=network.components,
        dropout=network.dropout,
    )


def _surprises(network: PosteriorNetwork, x: Tensor, mask: Tensor, constants: list[Tensor]) -> list[Tensor]:
    """-ln p of the samples of each model, (n,) of each."""
    mixtures = network(x, mask)
    surprises = []
    for mixture, z in zip(mixtures, constants, strict=True):
        own = ~z[:, 0].isnan()
        surprises.append(-mixture.log_density(torch.where(own[:, None], z, 0.0))[own])
    return surprises
