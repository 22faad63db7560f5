"""Losses of pairs: the true counterpart of every sample is known."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mantid_exp2sim.training.config import PairedSquareSettings
from mantid_exp2sim.training.losses.loss import Batch, Loss, Translation, masked_l1


class Paired(Loss):
    """L1 to the true counterpart, in network values."""

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor | None:
        """See `Loss`."""
        source = batch[translation.direction]
        if source.counterpart is None:
            return None
        return masked_l1(translation.output, source.counterpart, source.pair_mask)


class PairedSquare(Loss):
    """Relative squared error to the true counterpart in physical units: keeps the intensity of noisy data."""

    settings: PairedSquareSettings

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor | None:
        """See `Loss`."""
        source, scaling = batch[translation.direction], self.context.scaling
        if source.counterpart is None:
            return None
        output, truth = scaling.inverse(translation.output), scaling.inverse(source.counterpart.float())
        floor = self.settings.floor * scaling.intensity_scale
        return relative_square(output, truth, source.pair_mask, floor)


def relative_square(output: Tensor, truth: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Average Σ(output − truth)² / (Σ truth² + floor² · bins) over the samples: its least is the mean.

    All (B, C, *spatial), in physical units; ``mask`` 1 = not measured; ``floor`` an intensity per bin, so
    that samples without any do not decide. Unlike an absolute error in network values it keeps the total.

    >>> import torch
    >>> ones = torch.ones(1, 1, 4)
    >>> float(relative_square(1.5 * ones, ones, 0 * ones, 0.0))
    0.25
    """
    measured = 1 - mask
    error, size = (((part * measured) ** 2).flatten(1).sum(1) for part in (output - truth, truth))
    return (error / (size + floor**2 * measured.flatten(1).sum(1) + 1e-12)).mean()
