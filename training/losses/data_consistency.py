"""The known resolution R as losses: the forward operator is physics and need not be learnt.

Source of the idea: known-operator networks (arXiv 1908.09414) and CycleGAN with a known forward operator
(arXiv 1909.12116).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mantid_exp2sim.training.losses.known_operator import KnownOperator
from mantid_exp2sim.training.losses.loss import Batch, Loss, Need, Translation, fast_format, masked_l1


class DataConsistency(Loss):
    """L1 between a measurement and its deconvolution blurred again."""

    needs: ClassVar[frozenset[Need]] = frozenset({"resolution"})

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor | None:
        """See `Loss`."""
        if translation.direction != "deconvolve":
            return None
        assert self.context.resolution is not None
        return consistency(self.context.resolution, translation.output, batch["deconvolve"])


class KnownResolution(Loss):
    """L1 of both generators on pairs (R·b, b) that the resolution makes of unconvolved data alone."""

    needs: ClassVar[frozenset[Need]] = frozenset({"resolution"})

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        context, ideal = self.context, batch["convolve"]
        assert context.resolution is not None
        with torch.no_grad():
            blurred = context.resolution.blur(ideal.intensity, ideal.mask, ideal.energy)
        if translation.direction == "convolve":
            return masked_l1(translation.output, blurred, ideal.mask)
        measured = fast_format(ideal.with_intensity(context.add_noise(blurred, ideal.mask)))
        with context.autocast():
            back = context.generators["deconvolve"](measured)
        return masked_l1(back.float(), ideal.intensity, ideal.mask)


def consistency(resolution: KnownOperator, deconvolved: Tensor, measured: Batch) -> Tensor:
    """Compute the L1 between R·G(x) and x: what was deconvolved must give the measurement back."""
    blurred = resolution.blur(deconvolved, measured.mask, measured.energy)
    return masked_l1(blurred, measured.intensity, measured.mask)
