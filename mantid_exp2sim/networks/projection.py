"""Projection heads: features of a generator at chosen positions to unit vectors, for the contrastive loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mantid_exp2sim.networks.blocks import xavier


class Projection(nn.Module):
    """Linear, ReLU, Linear (256 wide) per feature layer, then L2-normalised. 0.49 M parameters in the paper.

    >>> import torch
    >>> head = Projection([128, 256, 256, 256])
    >>> round(sum(p.numel() for p in head.parameters()) / 1e6, 2)
    0.49
    >>> out = head([torch.rand(2, c, 5, 5) for c in (128, 256, 256, 256)], [torch.zeros(2, 7).long()] * 4)
    >>> [tuple(vectors.shape) for vectors in out][0]
    (2, 7, 256)
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width)) for c in channels
        )

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Unit vectors (B, P, width) of features (B, C, *spatial) at flat positions (B, P) of each layer."""
        if not len(features) == len(positions) == len(self.heads):
            raise ValueError(f"expected {len(self.heads)} feature layers and positions, got {len(features)}")
        return [
            F.normalize(head(take(layer, where)).float(), dim=-1, eps=1e-6)
            for head, layer, where in zip(self.heads, features, positions, strict=True)
        ]


def paper_projection(channels: Sequence[int]) -> Projection:
    """A head of width 256 initialised as in the paper."""
    head = Projection(channels)
    xavier(head)
    return head


def take(features: Tensor, positions: Tensor) -> Tensor:
    """(B, C, *spatial) at flat positions (B, P) to (B, P, C).

    >>> import torch
    >>> take(torch.arange(6.0).reshape(1, 1, 2, 3), torch.tensor([[4, 0]])).flatten().tolist()
    [4.0, 0.0]
    """
    flat = features.flatten(2).transpose(1, 2)
    return flat.gather(1, positions[..., None].expand(-1, -1, flat.shape[-1]))
