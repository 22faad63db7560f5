"""Synthetic inputs that belong to no class, for a classifier that is to say so."""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = ("zeros", "constant", "bins", "panels", "noise", "sparse")
"""``zeros``: nothing scattered. ``constant``: one level everywhere. ``bins``: each panel's bins shuffled.
``panels``: the panels shuffled. ``noise``: positive white noise. ``sparse``: few bright bins."""


def make_outliers(x: Tensor, draws: torch.Generator, *, kind: str | None = None) -> Tensor:
    """Inputs of no class made from real ones (B, 2·panels, h, k): same masks, other intensities.

    ``kind`` is one of ``KINDS``, or None for a random one per sample.

    >>> x = torch.rand(2, 4, 3, 3)
    >>> x[:, 2:] = 0
    >>> make_outliers(x, torch.Generator(), kind="zeros")[:, :2].abs().max().item()
    0.0
    """
    if len(x) == 0:
        return x
    panels = x.shape[1] // 2
    made = [
        _one(sample[:panels], kind or KINDS[int(torch.randint(len(KINDS), (), generator=draws))], draws)
        for sample in x
    ]
    intensity = torch.where(x[:, panels:] > 0, 0.0, torch.stack(made))
    return torch.cat([intensity, x[:, panels:]], 1)


def _one(intensity: Tensor, kind: str, draws: torch.Generator) -> Tensor:
    """Other intensities (panels, h, k) of about the same size."""
    level = intensity.abs().mean() * (4 * torch.rand((), generator=draws))
    if kind == "zeros":
        return torch.zeros_like(intensity)
    if kind == "constant":
        return torch.ones_like(intensity) * level
    if kind == "panels":
        return intensity[torch.randperm(len(intensity), generator=draws)]
    if kind == "bins":
        flat = intensity.flatten(1)
        return flat[:, torch.randperm(flat.shape[1], generator=draws)].reshape(intensity.shape)
    noise = torch.rand(intensity.shape, generator=draws).clamp_min(1e-6)
    if kind == "noise":
        return -level * noise.log()
    return torch.where(noise < 0.03, 30 * level, torch.zeros(()))
