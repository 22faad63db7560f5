"""Training of the DUQ classifier: correlations that fall to zero away from every class.

Source: van Amersfoort et al., ICML 2020. Beyond it: synthetic inputs of no class are shown with target 0 for
every class, the length scale is chosen on the validation split, and bins that were not measured are masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import build_classifier
from mantid_exp2sim.networks.duq import Duq, stack_panels
from mantid_exp2sim.networks.settings import ClassifierSettings
from mantid_exp2sim.training.config import ClassifierConfig, OutlierKind
from mantid_exp2sim.training.datasets.prefetch import Prefetch
from mantid_exp2sim.training.datasets.sampler import DataSet, Domain
from mantid_exp2sim.training.losses.classifier import (
    NO_CLASS,
    class_entropy,
    gradient_penalty,
    relative_entropy,
)
from mantid_exp2sim.training.synthetic.magnets import Magnets
from mantid_exp2sim.training.synthetic.outliers import MAGNETS, make_outliers
from mantid_exp2sim.training.trainers import metrics
from mantid_exp2sim.training.trainers.distributed import Share, averaged, local_device
from mantid_exp2sim.training.trainers.trainer import (
    clip_gradients,
    make_optimiser,
    move_average,
    read_scalars,
    step_seed,
)

EVALUATE_BATCH = 64
LENGTH_SCALE = 0.3
"""σ during training."""
LENGTH_SCALES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""σ to choose from on the validation split, by negative log likelihood with outliers as no class."""
CENTROID_MOMENTUM = 0.99
"""γ of the moving centroids; published 0.999, and 1 (centroids that never move) as it was run."""


def network_settings(dataset: DataSet, config: ClassifierConfig) -> ClassifierSettings:
    """Settings of the network for the mosaics of a data set."""
    energies, _, _, windows = dataset.description.shape
    return config.network.for_data(panels=windows * energies, classes=len(dataset.description.classes))


class ClassifierTrainer:
    """The classifier and its update; a `Task`."""

    def __init__(
        self,
        config: ClassifierConfig,
        source: Domain,
        dataset: DataSet,
        scaling: Scaling,
        *,
        device: str = "cpu",
    ) -> None:
        self.config, self.source = config, source
        self.device = local_device(device)
        self.share = Share.of_this_process(config.schedule.batch)
        self._ahead = Prefetch(source)
        torch.manual_seed(step_seed(config.run.seed, 0, stream=1))
        settings = network_settings(dataset, config)
        self.network = build_classifier(settings).to(self.device)
        self.network.length_scale.fill_(LENGTH_SCALE)
        self.average = build_classifier(settings).to(self.device)
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
        self.valid, self.valid_label = stack_panels(x, mask), label
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, 0, stream=3))
        count = max(2, min(len(self.valid), 200))
        self._read_panels(dataset, scaling)
        self.valid_outliers = {
            kind: self._outliers(self.valid[:count], draws, [kind])
            for kind in dict.fromkeys(self.config.outliers.kinds)
        }

    def _read_panels(self, dataset: DataSet, scaling: Scaling) -> None:
        """Read the energies of a mosaic's panels, where all samples have the same, and what needs them."""
        edges = dataset.description.panel_edges if dataset.shares_mask else None
        self.levels = self.magnets = None
        if edges is not None:
            self.levels = torch.from_numpy((edges[:, 1:] + edges[:, :-1]) / 2).float().flatten()
            self.magnets = Magnets(edges, scaling, self.source.noise)
        elif magnets := sorted(set(MAGNETS) & set(self.config.outliers.kinds)):
            raise Exp2SimError(
                "Magnets as inputs of no class need the energies of a mosaic's panels.",
                reason="The data set does not say the same energies for all samples.",
                fix=f"Take {' and '.join(magnets)} out of kinds in [outliers].",
            )

    def _outliers(self, x: Tensor, draws: torch.Generator, kinds: Sequence[OutlierKind]) -> Tensor:
        return make_outliers(x, draws, kinds, levels=self.levels, magnets=self.magnets)

    def networks(self) -> dict[str, nn.Module]:
        """See `Task`."""
        return {"classifier": self.network, "average": self.average}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """See `Task`."""
        return {"classifier": self.optimiser}

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Make input and labels of a step, with outliers (label −1) at the end."""
        samples = self._ahead.at(step)
        draws = torch.Generator().manual_seed(step_seed(self.config.run.seed, step))
        x = stack_panels(samples.x, samples.mask)
        count = round(self.config.outliers.share * len(x))
        templates = x[torch.randint(len(x), (count,), generator=draws)]
        outliers = self._outliers(templates, draws, self.config.outliers.kinds)
        parts = (x, outliers), (samples.label, torch.full((count,), NO_CLASS))
        rows = slice(self.share.number, None, self.share.of)
        whole, label = (torch.cat([part[rows] for part in pair]) for pair in parts)
        return whole.to(self.device), label.to(self.device)

    def train_step(self, step: int) -> dict[str, float]:
        """Update weights and centroids once; all or nothing."""
        x, label = self._batch(step)
        torch.manual_seed(step_seed(self.config.run.seed, step, stream=2))
        self.optimiser.zero_grad(set_to_none=True)
        report: dict[str, Tensor] = {}
        total, embedded = self._losses(x, label, self._penalised(step), report)
        total.backward()  # type: ignore[no-untyped-call]
        report["gradient"] = clip_gradients(self.network.parameters(), self.config.optimiser.clip)
        scalars = read_scalars(report, {"loss": total})
        self.optimiser.step()
        of_class = label >= 0
        self.network.update_centroids(
            self.share.gather(embedded.detach()[of_class]),
            self.share.gather(label[of_class]),
            CENTROID_MOMENTUM,
        )
        states = self.average.state_dict().values(), self.network.state_dict().values()
        move_average(*states, self.config.optimiser.ema, step)
        return scalars

    def _penalised(self, step: int) -> int:
        """Count the samples of this process, the first ones, that the gradient penalty is computed of."""
        penalty = self.config.losses.gradient_penalty
        if penalty is None or step % penalty.every:
            return 0
        batch = self.config.schedule.batch
        whole = batch + round(self.config.outliers.share * batch)
        return max(1, round(penalty.share * whole) // self.share.of)

    def _total(
        self, x: Tensor, label: Tensor, count: int, report: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Compute what is minimised, and the embeddings that it comes from."""
        losses, scale = self.config.losses, self.network.length_scale
        with torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=self.config.run.precision == "bfloat16"
        ):
            penalised = x[:count].detach().requires_grad_(count > 0)
            embedded = self.network.embed(torch.cat([penalised, x[count:]]))
        embedded = embedded.float()
        distances = self.network.distances(embedded)
        correlations = torch.exp(-distances / (2 * scale**2))
        report["entropy"] = class_entropy(distances, label, scale)
        total = report["entropy"]
        if losses.softmax is not None:
            report["relative"] = relative_entropy(distances, label, scale)
            total = total + losses.softmax.weight * report["relative"]
        if count and losses.gradient_penalty is not None:
            weight = losses.gradient_penalty.weight * losses.gradient_penalty.every
            report["penalty"] = gradient_penalty(correlations[:count].sum(), penalised)
            total = total + weight * report["penalty"]
        of_class = label >= 0
        accuracy = metrics.accuracy(correlations.detach()[of_class], label[of_class])
        report["accuracy"] = torch.tensor(accuracy, device=self.device)
        return total, embedded

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Choose the length scale; measure accuracy, likelihood and the answer to inputs of no class."""
        network = self.average.eval()
        distances = self._distances(self.valid)
        foreign = {kind: self._distances(x) for kind, x in self.valid_outliers.items()}
        outside = torch.cat(list(foreign.values()))
        nothing = torch.full((len(outside),), NO_CLASS)
        losses = {}
        for scale in LENGTH_SCALES:
            sigma = torch.tensor(scale)
            inside = class_entropy(distances, self.valid_label, sigma)
            losses[scale] = float(inside + class_entropy(outside, nothing, sigma)) / 2
        best = min(losses, key=lambda scale: losses[scale])
        network.length_scale.fill_(best)
        correlations = torch.exp(-distances / (2 * best**2))
        report = {
            "accuracy": metrics.accuracy(-distances, self.valid_label),
            "entropy": losses[best],
            "nll": metrics.negative_log_likelihood(correlations, self.valid_label),
            "length_scale": best,
            "own_correlation": float(correlations.gather(1, self.valid_label[:, None]).mean()),
        }
        for kind, values in foreign.items():
            report[f"null_{kind}"] = float(torch.exp(-values / (2 * best**2)).amax(1).quantile(0.95))
        return report

    def _distances(self, x: Tensor) -> Tensor:
        distances = []
        for start in range(0, len(x), EVALUATE_BATCH):
            embedded = self.average.embed(x[start : start + EVALUATE_BATCH].to(self.device))
            distances.append(self.average.distances(embedded).cpu())
        return torch.cat(distances)

    def scores(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the share of wrong predictions + 0.1 × binary cross entropy, inputs of no class included."""
        return {"classifier": 1 - metrics["accuracy"] + 0.1 * metrics["entropy"]}

    def shipped(self, name: str) -> Duq:
        """Return the averaged classifier (the classifier itself where ema = 0)."""
        return self.average

    def picture(self, path: Path) -> None:
        """A classifier draws nothing."""
