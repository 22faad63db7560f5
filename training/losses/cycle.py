"""Losses of unpaired data that keep a translation near its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mantid_exp2sim.training.losses.loss import OTHER, Batch, Loss, Need, Translation, masked_l1


class Cycle(Loss):
    """L1 between an input and its image there and back."""

    needs: ClassVar[frozenset[Need]] = frozenset({"back"})

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        source = batch[translation.direction]
        assert translation.back is not None
        return masked_l1(translation.back, source.intensity, source.mask)


class Identity(Loss):
    """L1 between data of the kind that a generator leads to and what it makes of them."""

    needs: ClassVar[frozenset[Need]] = frozenset({"identity"})

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        goal = batch[OTHER[translation.direction]]
        assert translation.same is not None
        return masked_l1(translation.same, goal.intensity, goal.mask)
