"""The total intensity, which the resolution leaves (nearly) as it is."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mantid_exp2sim.training.losses.loss import Batch, Loss, Translation

FLOOR = 0.1
"""Intensity per bin, in units of the scale, of a sample that counts half."""


class Flux(Loss):
    """Relative change of the total intensity of a sample."""

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        source, scaling = batch[translation.direction], self.context.scaling
        output, truth = scaling.inverse(translation.output), scaling.inverse(source.intensity.float())
        return flux_loss(output, truth, source.mask, FLOOR * scaling.intensity_scale)


def flux_loss(output: Tensor, source: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Average |Σ output − Σ source| / (Σ source + floor) over the samples.

    ``output`` and ``source`` (B, C, *spatial) in physical units, ``mask`` the same shape, 1 = not measured;
    ``floor`` is an intensity per bin, so that samples without any do not decide.

    >>> import torch
    >>> x = torch.ones(2, 1, 4, 4)
    >>> round(float(flux_loss(1.1 * x, x, torch.zeros_like(x), 0.0)), 6)
    0.1
    """
    measured = 1 - mask
    totals = [(part * measured).flatten(1).sum(1) for part in (output, source)]
    scale = totals[1].abs() + floor * measured.flatten(1).sum(1) + 1e-12
    return ((totals[0] - totals[1]).abs() / scale).mean()
