"""The losses of the dual GAN. What was not measured has no influence on any of them.

Masks are 1 where nothing was measured, as in the networks' inputs. Every loss is a mean over what was
measured in one sample, then over the samples, so that a batch is the mean of its samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mantid_exp2sim.networks.blocks import average_to
from mantid_exp2sim.training.trainers.distributed import WHOLE, Share

GanKind = Literal["log", "least_squares"]


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over everything but the batch, then over the samples that have any weight.

    ``values`` and ``weight`` (≥ 0, broadcastable) of shape (B, ...) to a scalar; 0 if all weights are 0.

    >>> float(masked_mean(torch.tensor([[1.0, 9.0], [3.0, 5.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])))
    2.5
    """
    weight = weight.expand_as(values).flatten(1)
    total = weight.sum(1)
    # where(), not a product: 0 · inf is not 0
    kept = torch.where(weight > 0, values.flatten(1), 0.0)
    means = (kept * weight).sum(1) / total.clamp_min(1e-12)
    return means.sum() / (total > 0).sum().clamp_min(1)


def discriminator_loss(kind: GanKind, real: Tensor, fake: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    """What a discriminator minimises: scores (B, 1, *patches) of real and fake data, and their weights.

    ``log``: −log σ(D(real)) − log(1 − σ(D(fake))); ``least_squares``: (D(real) − 1)² + D(fake)²; both halved.

    >>> one = torch.ones(1, 1, 2)
    >>> float(discriminator_loss("least_squares", one, 0 * one, (one, one)))
    0.0
    """
    if kind == "log":
        on_real, on_fake = F.softplus(-real), F.softplus(fake)
    else:
        on_real, on_fake = (real - 1).square(), fake.square()
    return 0.5 * (masked_mean(on_real, weights[0]) + masked_mean(on_fake, weights[1]))


def generator_loss(kind: GanKind, fake: Tensor, weight: Tensor) -> Tensor:
    """What a generator minimises: scores (B, 1, *patches) of its output.

    ``log`` is the non-saturating −log σ(D(fake)), which has the fixed points of the min-max game.

    >>> one = torch.ones(1, 1, 2)
    >>> float(generator_loss("least_squares", 3 * one, one))
    4.0
    """
    if kind == "log":
        return masked_mean(F.softplus(-fake), weight)
    return masked_mean((fake - 1).square(), weight)


def auxiliary_loss(predicted: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error between the class number (B,) and the second head's (B, 1, *patches).

    Samples of no class that is known (a label below 0) do not count.

    >>> float(auxiliary_loss(torch.ones(2, 1, 3), torch.tensor([1, 0]), torch.ones(2, 1, 3)))
    0.5
    """
    wanted = labels.to(predicted.dtype).reshape(-1, *[1] * (predicted.ndim - 1))
    return masked_mean((predicted - wanted).square(), weight * (wanted >= 0).to(weight.dtype))


def flux_loss(made: Tensor, source: Tensor, mask: Tensor, floor: float) -> Tensor:
    """|Σ made − Σ source| / (Σ source + floor) of each sample, averaged: the resolution keeps the total.

    ``made`` and ``source`` (B, C, *spatial) in physical units, ``mask`` the same shape, 1 = not measured;
    ``floor`` is an intensity per bin, so that samples without any do not decide.

    >>> x = torch.ones(2, 1, 4, 4)
    >>> round(float(flux_loss(1.1 * x, x, torch.zeros_like(x), 0.0)), 6)
    0.1
    """
    keep = 1 - mask
    totals = [(part * keep).flatten(1).sum(1) for part in (made, source)]
    scale = totals[1].abs() + floor * keep.flatten(1).sum(1) + 1e-12
    return ((totals[0] - totals[1]).abs() / scale).mean()


def masked_l1(output: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error over measured bins; all (B, C, *spatial). The identity, cycle and paired losses.

    >>> zero = torch.zeros(1, 1, 2)
    >>> float(masked_l1(zero + 2, zero, torch.tensor([[[0.0, 1.0]]])))
    2.0
    """
    return masked_mean((output - wanted).abs(), 1 - mask)


def relative_square(output: Tensor, wanted: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Σ(output − wanted)² / (Σ wanted² + floor² · bins) of each sample, averaged: its least is the mean.

    All (B, C, *spatial), in physical units; ``mask`` 1 = not measured; ``floor`` an intensity per bin, so
    that samples without any do not decide. Unlike an absolute error in network values it keeps the total.

    >>> one = torch.ones(1, 1, 4)
    >>> float(relative_square(1.5 * one, one, 0 * one, 0.0))
    0.25
    """
    keep = 1 - mask
    error, size = (((part * keep) ** 2).flatten(1).sum(1) for part in (output - wanted, wanted))
    return (error / (size + floor**2 * keep.flatten(1).sum(1) + 1e-12)).mean()


def sample_positions(
    mask: Tensor, sizes: Sequence[int], count: int, generator: torch.Generator, share: Share = WHOLE
) -> tuple[Tensor, Tensor]:
    """Random measured positions of each sample on a feature map: flat positions and which are valid, (B, P).

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
    draw = share.draw(shape[0], lambda rows: torch.rand(rows, shape[1], generator=generator))
    draw = draw.to(measured.device)
    order = torch.where(measured, draw, draw - 2)
    best, positions = order.topk(min(count, measured.shape[1]), dim=1)
    return positions, best >= 0


def patch_nce(queries: Tensor, keys: Tensor, valid: Tensor, temperature: float = 0.07) -> Tensor:
    """PatchNCE: a position of the output must be recognised among the other positions of its own input.

    ``queries`` and ``keys`` (B, P, width) unit vectors at the same positions; keys are detached; negatives
    come from the same sample only; ``valid`` (B, P) says which positions count, as query or as negative.
    Source: Park et al., ECCV 2020 (CUT); Han et al., CVPRW 2021.

    >>> vectors = torch.eye(4)[None]
    >>> float(patch_nce(vectors, vectors, torch.ones(1, 4).bool())) < 1e-5
    True
    """
    logits = torch.einsum("bpw,bqw->bpq", queries, keys.detach()) / temperature
    logits = logits.masked_fill(~valid[:, None, :], -1e4)
    losses = -F.log_softmax(logits, dim=2).diagonal(dim1=1, dim2=2)
    return masked_mean(losses, valid.to(losses.dtype))
