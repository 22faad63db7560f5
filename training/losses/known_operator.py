"""The known resolution on network tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator


@dataclass(frozen=True, slots=True, eq=False)
class KnownOperator:
    """R on network tensors (B, C, *spatial) of scaled intensities."""

    resolution: ResolutionOperator
    layout: Layout
    scaling: Scaling

    def __post_init__(self) -> None:
        """Refuse a layout whose networks do not see whole volumes."""
        if self.layout.folded:
            raise Exp2SimError(
                f"A layout with {' and '.join(self.layout.folded)} in the batch has no known resolution.",
                reason="The resolution mixes all three axes, and the network sees them apart.",
                fix="Take a layout of whole volumes, or leave out data_consistency and known_resolution.",
            )

    def blur(self, scaled: Tensor, mask: Tensor, energy: Tensor) -> Tensor:
        """Blur scaled intensities by the resolution at incident energies in meV; 0 where masked."""
        volumes = self.layout.unstack(self.scaling.inverse(scaled.float()))
        blurred = self.resolution(volumes, energy, self.layout.unstack(mask))
        return torch.where(mask > 0, 0.0, self.layout.fold(self.scaling.forward(blurred)))
