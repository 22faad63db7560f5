"""PatchNCE: a position of the output must be recognised among the other positions of its own input.

Source: Park et al., ECCV 2020 (CUT); Han et al., CVPRW 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mantid_exp2sim.networks.blocks import average_to
from mantid_exp2sim.training.config import ContrastiveSettings
from mantid_exp2sim.training.losses.loss import OTHER, Batch, Loss, Need, Translation, masked_mean

TEMPERATURE = 0.07
"""The published one."""
Draw = Callable[[int, Callable[[int], Tensor]], Tensor]


class Contrastive(Loss):
    """PatchNCE, averaged over the feature layers."""

    needs: ClassVar[frozenset[Need]] = frozenset({"features"})
    settings: ContrastiveSettings

    def forward(self, batch: Mapping[str, Batch], translation: Translation) -> Tensor:
        """See `Loss`."""
        context, direction = self.context, translation.direction
        mask = batch[direction].mask
        sampled = [
            sample_positions(
                mask, layer.shape[2:], self.settings.patches, translation.draws, draw=context.draw
            )
            for layer in translation.keys
        ]
        positions = [where for where, _ in sampled]
        with torch.no_grad(), context.autocast():
            keys = context.projections[direction](translation.keys, positions)
        with context.autocast():
            queries = context.projections[OTHER[direction]](translation.queries, positions)
        layers = zip(queries, keys, sampled, strict=True)
        return torch.stack([patch_nce(query, key, valid) for query, key, (_, valid) in layers]).mean()


def draw_all(rows: int, make: Callable[[int], Tensor]) -> Tensor:
    """Draw for a batch that one process has as a whole."""
    return make(rows)


def sample_positions(
    mask: Tensor, sizes: Sequence[int], count: int, generator: torch.Generator, *, draw: Draw = draw_all
) -> tuple[Tensor, Tensor]:
    """Draw measured positions of each sample on a feature map: flat positions and which are valid, (B, P).

    ``mask`` (B, C, *spatial); ``sizes`` the feature map's spatial sizes; at most ``count`` positions. A
    position counts as measured if at least half of its cell's bins are; where a sample has fewer, the last
    ones are invalid.

    >>> mask = torch.zeros(1, 1, 4); mask[..., 1:] = 1
    >>> where, valid = sample_positions(mask, (4,), 3, torch.Generator().manual_seed(0))
    >>> where[0, 0].item(), valid.tolist()
    (0, [[True, False, False]])
    """
    measured = average_to((1 - mask.float()).mean(1, keepdim=True), sizes).flatten(1) >= 0.5
    shape = measured.shape
    ranks = draw(shape[0], lambda rows: torch.rand(rows, shape[1], generator=generator)).to(measured.device)
    order = torch.where(measured, ranks, ranks - 2)
    best, positions = order.topk(min(count, measured.shape[1]), dim=1)
    return positions, best >= 0


def patch_nce(queries: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
    """Compute PatchNCE of unit vectors (B, P, width) at the same positions.

    Keys are detached; negatives come from the same sample only; ``valid`` (B, P) says which positions count,
    as query or as negative.

    >>> vectors = torch.eye(4)[None]
    >>> float(patch_nce(vectors, vectors, torch.ones(1, 4).bool())) < 1e-5
    True
    """
    logits = torch.einsum("bpw,bqw->bpq", queries, keys.detach()) / TEMPERATURE
    logits = logits.masked_fill(~valid[:, None, :], -1e4)
    losses = -F.log_softmax(logits, dim=2).diagonal(dim1=1, dim2=2)
    return masked_mean(losses, valid.to(losses.dtype))
