"""Losses with discriminators: is a translation like data of its kind, and of the class of its input?

Source: Anker et al., Digital Discovery 2 (2023) 578.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from mantid_exp2sim.training.config import AdversarialSettings
from mantid_exp2sim.training.losses.loss import Batch, Loss, Need, Scores, Translation, masked_mean

AdversarialKind = Literal["log", "least_squares"]


class Adversarial(Loss):
    """A discriminator takes the translation for real data."""

    needs: ClassVar[frozenset[Need]] = frozenset({"discriminators"})
    settings: AdversarialSettings

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        scores = translation.scores
        assert scores is not None
        return generator_loss(self.settings.kind, scores.real, scores.weight)

    def discriminate(self, real: Scores, fake: Scores, label: Tensor) -> tuple[str, Tensor]:
        """See `Loss`."""
        weights = real.weight, fake.weight
        return "discriminator", discriminator_loss(self.settings.kind, real.real, fake.real, weights)


class Auxiliary(Loss):
    """A discriminator's second output, which learns classes from real data, finds the input's class."""

    needs: ClassVar[frozenset[Need]] = frozenset({"discriminators"})

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        scores = translation.scores
        assert scores is not None
        return auxiliary_loss(scores.label, batch[translation.direction].label, scores.weight)

    def discriminate(self, real: Scores, fake: Scores, label: Tensor) -> tuple[str, Tensor]:
        """See `Loss`."""
        return "discriminator_class", auxiliary_loss(real.label, label, real.weight)


def discriminator_loss(
    kind: AdversarialKind, real: Tensor, fake: Tensor, weights: tuple[Tensor, Tensor]
) -> Tensor:
    """Compute what a discriminator minimises: scores (B, 1, *patches) of real and fake data, and weights.

    ``log``: −log σ(D(real)) − log(1 − σ(D(fake))); ``least_squares``: (D(real) − 1)² + D(fake)²; both halved.

    >>> import torch
    >>> ones = torch.ones(1, 1, 2)
    >>> float(discriminator_loss("least_squares", ones, 0 * ones, (ones, ones)))
    0.0
    """
    if kind == "log":
        on_real, on_fake = F.softplus(-real), F.softplus(fake)
    else:
        on_real, on_fake = (real - 1).square(), fake.square()
    return 0.5 * (masked_mean(on_real, weights[0]) + masked_mean(on_fake, weights[1]))


def generator_loss(kind: AdversarialKind, fake: Tensor, weight: Tensor) -> Tensor:
    """Compute what a generator minimises: scores (B, 1, *patches) of its output.

    ``log`` is the non-saturating −log σ(D(fake)), which has the fixed points of the min-max game.

    >>> import torch
    >>> ones = torch.ones(1, 1, 2)
    >>> float(generator_loss("least_squares", 3 * ones, ones))
    4.0
    """
    if kind == "log":
        return masked_mean(F.softplus(-fake), weight)
    return masked_mean((fake - 1).square(), weight)


def auxiliary_loss(predicted: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Average the squared error between the class number (B,) and the second head's (B, 1, *patches).

    Samples of an unknown class (a label below 0) do not count.

    >>> import torch
    >>> float(auxiliary_loss(torch.ones(2, 1, 3), torch.tensor([1, 0]), torch.ones(2, 1, 3)))
    0.5
    """
    numbers = labels.to(predicted.dtype).reshape(-1, *[1] * (predicted.ndim - 1))
    return masked_mean((predicted - numbers).square(), weight * (numbers >= 0).to(weight.dtype))
