"""What a translator's loss is: batches and translations in, a number out.

What was not measured has no influence on any loss. Masks are 1 where nothing was measured, as in the
networks' inputs. Every loss is a mean over what was measured in one sample, then over the samples, so that a
batch is the mean of its samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mantid_exp2sim.model.card import Direction
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.generator import Generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.projection import Projection
from mantid_exp2sim.training.config import LossSettings
from mantid_exp2sim.training.datasets.sampler import Samples
from mantid_exp2sim.training.losses.known_operator import KnownOperator

OTHER: dict[str, Direction] = {"deconvolve": "convolve", "convolve": "deconvolve"}
Need = Literal["discriminators", "features", "identity", "back", "resolution"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch as a network takes it: input, intensities, masks (1 = not measured), labels, incident energies
    in meV, counterpart.
    """

    x: Tensor
    intensity: Tensor
    mask: Tensor
    label: Tensor
    energy: Tensor
    counterpart: Tensor | None
    pair_mask: Tensor
    """1 where the input or its counterpart is not known."""

    def with_intensity(self, y: Tensor) -> Tensor:
        """Make the network input with other intensities, and zero where nothing was measured."""
        planes = self.x[:, self.mask.shape[1] :]
        return torch.cat([torch.where(self.mask > 0, 0.0, y.float()), planes], 1)


def stack(samples: Samples, layout: Layout, device: str = "cpu") -> Batch:
    """Stack samples to network tensors, in the memory format that convolutions are fastest with."""
    x = fast_format(layout.stack(samples.x, samples.mask, samples.ei).to(device))
    n = layout.channels
    label = samples.label.repeat_interleave(x.shape[0] // len(samples.label)).to(device)
    counterpart = None if samples.counterpart is None else layout.fold(samples.counterpart).to(device)
    mask, joint = x[:, n : 2 * n], samples.counterpart_mask
    pair_mask = mask if joint is None else layout.fold(joint.to(x.dtype)).to(device)
    return Batch(x, x[:, :n], mask, label, samples.ei.to(device), counterpart, pair_mask)


def fast_format(x: Tensor) -> Tensor:
    """Lay a tensor out in memory with its channels last, in 2D and 3D."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a discriminator says of data: real or not, class number (B, 1, *patches), weights of patches."""

    real: Tensor
    label: Tensor
    weight: Tensor


@dataclass(slots=True, eq=False)
class Translation:
    """What one direction makes of a batch."""

    direction: str
    output: Tensor
    """The generator's output, in network values."""
    as_input: Tensor
    """The output as the other direction's network takes it, with noise where it is to look measured."""
    same: Tensor | None
    """What the generator makes of data of the kind that it leads to."""
    back: Tensor | None
    """The output translated back."""
    keys: list[Tensor]
    queries: list[Tensor]
    """Features of the input, and of the output on its way back."""
    draws: torch.Generator
    scores: Scores | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What losses stand on: networks by direction, scaling, and how the trainer computes and draws."""

    generators: Mapping[str, Generator]
    projections: Mapping[str, Projection]
    discriminators: Mapping[str, nn.Module]
    scaling: Scaling
    autocast: Callable[[], AbstractContextManager[object]]
    draw: Callable[[int, Callable[[int], Tensor]], Tensor]
    """``draw(rows, make)``: rows of this process of what ``make`` draws for the whole batch."""
    add_noise: Callable[[Tensor, Tensor], Tensor]
    """Counting noise of convolved data on network values with a mask."""
    resolution: KnownOperator | None = None


class Loss(ABC):
    """One term of what the generators minimise, and of what the discriminators do."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, name: str, settings: LossSettings, context: Context) -> None:
        self.name, self.settings, self.context = name, settings, context

    @property
    def weight(self) -> float:
        """Weight in the generators' loss."""
        return self.settings.weight

    @abstractmethod
    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor | None:
        """Compute the unweighted loss of one direction; None where it has none.

        ``batch`` holds the sources of both directions.
        """

    def discriminate(self, real: Scores, fake: Scores, label: Tensor) -> tuple[str, Tensor] | None:
        """Compute what the discriminator minimises, with the name that it is reported by."""
        return None


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Average with weights over everything but the batch, then over the samples that have any weight.

    ``values`` and ``weight`` (≥ 0, broadcastable) of shape (B, ...) to a scalar; 0 if all weights are 0.

    >>> float(masked_mean(torch.tensor([[1.0, 9.0], [3.0, 5.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])))
    2.5
    """
    weight = weight.expand_as(values).flatten(1)
    total = weight.sum(1)
    # where(), not a product: 0 · inf is not 0
    weighted = torch.where(weight > 0, values.flatten(1), 0.0) * weight
    means = weighted.sum(1) / total.clamp_min(1e-12)
    return means.sum() / (total > 0).sum().clamp_min(1)


def masked_l1(output: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Average the absolute error over measured bins; all (B, C, *spatial).

    >>> zero = torch.zeros(1, 1, 2)
    >>> float(masked_l1(zero + 2, zero, torch.tensor([[[0.0, 1.0]]])))
    2.0
    """
    return masked_mean((output - truth).abs(), 1 - mask)
