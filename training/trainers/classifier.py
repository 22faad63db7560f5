"""Training of the DUQ classifier: correlations that fall to zero away from every class.

Source: van Amersfoort et al., ICML 2020. Beyond it: synthetic inputs of no class are shown with target 0 for
every class, the length scale is chosen on the validation split, and bins that were not measured are masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.networks import build_classifier
from mantid_exp2sim.training.config import DuqConfig, OutlierKind
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.datasets.sampler import DataSet, Domain, Samples
from mantid_exp2sim.training.synthetic.magnets import Magnets
from mantid_exp2sim.training.synthetic.outliers import MAGNETS, make_outliers
from mantid_exp2sim.training.trainers import metrics
from mantid_exp2sim.training.trainers.distributed import Share, averaged, own_device
from mantid_exp2sim.training.trainers.trainer import checked, clip_gradients, make_optimiser, step_seed
from mantid_exp2sim.training.trainers.validation import classifier_input

if TYPE_CHECKING:
    from mantid_exp2sim.model.scaling import Scaling
    from mantid_exp2sim.networks.duq import Duq

NO_CLASS = -1
_EVALUATE_BATCH = 64


def check_panels(dataset: DataSet, config: DuqConfig) -> None:
    """Refuse a recipe whose network does not fit the data set."""
    energies, _, _, windows = dataset.description.shape
    panels = windows * (energies if config.data.form == "mosaic" else 1)
    classes = len(dataset.description.classes)
    if (config.network.panels, config.network.classes) != (panels, classes):
        raise Exp2SimError(
            f"The classifier has {config.network.panels} panels and {config.network.classes} classes.",
            reason=f"A {config.data.form} of this data set has {panels} panels; there are {classes} classes.",
            fix=f"Set panels = {panels} and classes = {classes} in [network].",
        )


class DuqTask:
    """The classifier and its update; a :class:`mantid_exp2sim.training.trainers.trainer.Task`."""

    def __init__(self, config: DuqConfig, domain: Domain, dataset: DataSet, scaling: Scaling) -> None:
        self.config, self.domain = config, domain
        self.device = own_device(config.run.device)
        self.share = Share.own(config.schedule.batch)
        self._ahead = Prefetch(domain)
        torch.manual_seed(step_seed(config.run.seed, 0, stream=1))
        self.network = build_classifier(config.network).to(self.device)
        self.network.length_scale.fill_(config.loss.length_scale)
        self.average = build_classifier(config.network).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = make_optimiser(config.optimiser, self.network.parameters())
        self._losses = averaged(self._total, [self.network])
        self._read_validation(dataset, scaling)

    def _read_validation(self, dataset: DataSet, scaling: Scaling) -> None:
        kind = self.config.data.kind
        indices = dataset.split("validation", self.config.validation.count, kind=kind)
        indices = indices[dataset.labels(indices, kind) >= 0]
        if not len(indices):
            raise Exp2SimError(
                f"The validation split of {dataset.folder} has no {kind!r} of a known class.",
                fix="Build the data set with labels, and with more parameter sets of each class.",
            )
        mask = torch.from_numpy(np.array(dataset.masks(kind, indices[: 1 if dataset.shares_mask else None])))
        x = scaling.forward(torch.from_numpy(dataset.read(kind, indices)))
        label = torch.from_numpy(dataset.labels(indices, kind))
        self.valid = classifier_input(x, mask, self.config.data.form)
        self.valid_label = label.repeat_interleave(len(self.valid) // len(label))
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, 0, stream=3))
        count = max(2, min(len(self.valid), 200))
        self._know_panels(dataset, scaling)
        self.valid_outliers = {
            kind: self._outliers(self.valid[:count], draws, [kind])
            for kind in dict.fromkeys(self.config.loss.outlier_kinds)
        }

    def _know_panels(self, dataset: DataSet, scaling: Scaling) -> None:
        """Energies of the panels of a mosaic, where all samples have the same, and what needs them."""
        edges = None
        if self.config.data.form == "mosaic" and dataset.shares_mask:
            edges = dataset.description.panel_edges
        self.levels = self.magnets = None
        if edges is not None:
            self.levels = torch.from_numpy((edges[:, 1:] + edges[:, :-1]) / 2).float().flatten()
            self.magnets = Magnets(edges, scaling, self.domain.noise)
        elif asked := sorted(set(MAGNETS) & set(self.config.loss.outlier_kinds)):
            raise Exp2SimError(
                "Magnets as inputs of no class need the energies of a mosaic's panels.",
                reason="The samples are single volumes, or the data set does not say the same energies "
                "for all.",
                fix=f"Take {' and '.join(asked)} out of outlier_kinds in [loss].",
            )

    def _outliers(self, x: Tensor, draws: torch.Generator, kinds: Sequence[OutlierKind]) -> Tensor:
        return make_outliers(x, draws, kinds, levels=self.levels, magnets=self.magnets)

    def networks(self) -> dict[str, nn.Module]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        return {"classifier": self.network, "average": self.average}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See :class:`mantid_exp2sim.training.trainers.trainer.Task`."""
        return {"classifier": self.optimiser}

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Input and labels of a step, with outliers (label −1) at the end."""
        samples = self._ahead.at(step)
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, step))
        x = _stack(samples)
        count = round(self.config.loss.outliers * len(x))
        chosen = x[torch.randint(len(x), (count,), generator=draws)]
        outliers = self._outliers(chosen, draws, self.config.loss.outlier_kinds)
        parts = (x, outliers), (samples.label, torch.full((count,), NO_CLASS))
        mine = slice(self.share.number, None, self.share.of)
        whole, label = (torch.cat([part[mine] for part in pair]) for pair in parts)
        return whole.to(self.device), label.to(self.device)

    def train_step(self, step: int) -> dict[str, float]:
        """One update of weights and centroids; all or nothing."""
        x, label = self._batch(step)
        torch.manual_seed(step_seed(self.config.run.seed, step, stream=2))
        self.optimiser.zero_grad(set_to_none=True)
        report: dict[str, Tensor] = {}
        total, embedded = self._losses(x, label, self._penalised(step), report)
        total.backward()  # type: ignore[no-untyped-call]
        report["gradient"] = clip_gradients(self.network.parameters(), self.config.optimiser.clip)
        found = checked(report, {"loss": total})
        self.optimiser.step()
        known = label >= 0
        self.network.update_centroids(
            self.share.gather(embedded.detach()[known]),
            self.share.gather(label[known]),
            self.config.loss.centroid_momentum,
        )
        self._move_average(step)
        return found

    def _penalised(self, step: int) -> int:
        """Of how many samples of this process the gradient penalty is computed, the first ones."""
        loss = self.config.loss
        if loss.gradient_penalty == 0 or step % loss.penalty_every:
            return 0
        batch = self.config.schedule.batch
        whole = batch + round(loss.outliers * batch)
        return max(1, round(loss.penalty_share * whole) // self.share.of)

    def _total(
        self, x: Tensor, label: Tensor, count: int, report: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What is minimised, and the embeddings it was computed from."""
        loss = self.config.loss
        with torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=self.config.run.precision == "bfloat16"
        ):
            some = x[:count].detach().requires_grad_(count > 0)
            embedded = self.network.embed(torch.cat([some, x[count:]]))
        embedded = embedded.float()
        distances = self.network.distances(embedded)
        found = torch.exp(-distances / (2 * self.network.length_scale**2))
        report["entropy"] = class_entropy(distances, label, self.network.length_scale)
        total = report["entropy"]
        if loss.softmax > 0:
            report["relative"] = relative_entropy(distances, label, self.network.length_scale)
            total = total + loss.softmax * report["relative"]
        if count:
            report["penalty"] = gradient_penalty(found[:count].sum(), some)
            total = total + loss.gradient_penalty * loss.penalty_every * report["penalty"]
        known = label >= 0
        accuracy = metrics.accuracy(found.detach()[known], label[known])
        report["accuracy"] = torch.tensor(accuracy, device=self.device)
        return total, embedded

    @torch.no_grad()
    def _move_average(self, step: int) -> None:
        keep = min(self.config.optimiser.ema, (1 + step) / (10 + step))
        pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
        for old, new in pairs:
            old.lerp_(new, 1 - keep)

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Choose the length scale; accuracy, likelihood and the answer to inputs of no class."""
        network = self.average.eval()
        distances = self._distances(self.valid)
        foreign = {kind: self._distances(x) for kind, x in self.valid_outliers.items()}
        every = torch.cat(list(foreign.values()))
        nothing = torch.full((len(every),), NO_CLASS)
        losses = {}
        for scale in self.config.loss.length_scales:
            inside = class_entropy(distances, self.valid_label, torch.tensor(scale))
            outside = class_entropy(every, nothing, torch.tensor(scale))
            losses[scale] = float(inside + outside) / 2
        best = min(losses, key=lambda scale: losses[scale])
        network.length_scale.fill_(best)
        found = torch.exp(-distances / (2 * best**2))
        report = {
            "accuracy": metrics.accuracy(-distances, self.valid_label),
            "entropy": losses[best],
            "nll": metrics.negative_log_likelihood(found, self.valid_label),
            "length_scale": best,
            "own_correlation": float(found.gather(1, self.valid_label[:, None]).mean()),
        }
        for kind, values in foreign.items():
            report[f"null_{kind}"] = float(torch.exp(-values / (2 * best**2)).amax(1).quantile(0.95))
        return report

    def _distances(self, x: Tensor) -> Tensor:
        found = []
        for start in range(0, len(x), _EVALUATE_BATCH):
            embedded = self.average.embed(x[start : start + _EVALUATE_BATCH].to(self.device))
            found.append(self.average.distances(embedded).cpu())
        return torch.cat(found)

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Share of wrong predictions + 0.1 × binary cross entropy, inputs of no class included."""
        return {"classifier": 1 - metrics["accuracy"] + 0.1 * metrics["entropy"]}

    def shipped(self, name: str) -> Duq:
        """The averaged classifier (the classifier itself where ema = 0)."""
        return self.average

    def picture(self, path: Path) -> None:
        """A classifier draws nothing."""


def _stack(samples: Samples) -> Tensor:
    """Network input of whole mosaics (B, Ei, h, k, E) or single volumes (B, h, k, E)."""
    from mantid_exp2sim.networks.duq import stack_panels

    whole = samples.x.ndim == 5
    return stack_panels(
        samples.x if whole else samples.x[:, None], samples.mask if whole else samples.mask[:, None]
    )


def class_entropy(distances: Tensor, label: Tensor, length_scale: Tensor) -> Tensor:
    """Binary cross entropy of K_c = exp(−d_c / 2σ²), mean over samples and classes; label −1: no class.

    Computed from the distances d (n, classes), so that neither log K nor log(1 − K) loses its digits.

    >>> d = torch.tensor([[0.0, 50.0]])
    >>> float(class_entropy(d, torch.tensor([0]), torch.tensor(0.5))) < 1e-4
    True
    """
    exponent = distances / (2 * length_scale**2)
    wanted = F.one_hot(label + 1, distances.shape[1] + 1)[:, 1:].to(distances.dtype)
    missed = torch.log(-torch.expm1(-exponent.clamp_min(1e-6)))
    return (wanted * exponent - (1 - wanted) * missed).mean()


def relative_entropy(distances: Tensor, label: Tensor, length_scale: Tensor) -> Tensor:
    """Cross entropy of softmax(−d / 2σ²) over the samples of a class: which centroid is nearest."""
    known = label >= 0
    exponents = -distances[known] / (2 * length_scale**2)
    return F.cross_entropy(exponents, label[known]) if bool(known.any()) else distances.sum() * 0


def gradient_penalty(total: Tensor, x: Tensor) -> Tensor:
    """(‖∇ₓ ΣK‖ − 1)², mean over samples; ``total`` is ΣK summed over the batch ``x``."""
    (slope,) = torch.autograd.grad(total, x, create_graph=True)
    norms = (slope.float().flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norms - 1).square().mean()
