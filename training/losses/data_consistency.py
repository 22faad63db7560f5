"""The known resolution as losses of the dual GAN: the forward operator is physics and need not be learnt.

Source of the idea: known-operator networks (arXiv 1908.09414) and CycleGAN with a known forward operator
(arXiv 1909.12116).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.losses import masked_l1

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
    from mantid_exp2sim.training.trainers.translator import Stacked


@dataclass(frozen=True, slots=True, eq=False)
class KnownOperator:
    """R on network tensors (B, C, *spatial) of scaled intensities."""

    resolution: ResolutionOperator
    layout: Layout
    scaling: Scaling

    def __post_init__(self) -> None:
        """Check that a network sees whole volumes."""
        if self.layout.folded:
            raise Exp2SimError(
                f"A layout with {' and '.join(self.layout.folded)} in the batch has no known resolution.",
                reason="The resolution mixes all three axes, and the network sees them apart.",
                fix="Take a layout of whole volumes, or no `consistency` and `operator` in [loss].",
            )

    def blur(self, scaled: Tensor, like: Stacked) -> Tensor:
        """Scaled intensities after the resolution of the incident energies of ``like``; 0 where masked."""
        volumes = self.layout.unstack(self.scaling.inverse(scaled.float()))
        mask = self.layout.unstack(like.mask)
        blurred = self.resolution(volumes, like.energy, mask)
        return torch.where(like.mask > 0, 0.0, self.layout.fold(self.scaling.forward(blurred)))

    def consistency(self, made: Tensor, measured: Stacked) -> Tensor:
        """L1 between R·G(x) and x: what was deconvolved must give the measurement back."""
        return masked_l1(self.blur(made, measured), measured.intensity, measured.mask)
