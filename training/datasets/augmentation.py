"""Symmetries of a panel, drawn for each training sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.training.datasets.dataset import Mask


def draw_symmetries(rng: np.random.Generator, count: int, allowed: Sequence[str]) -> Mask:
    """For each of ``count`` samples, whether to do h → −h, k → −k and h ↔ k: (count, 3)."""
    usable = np.array([name in allowed for name in ("h", "k", "swap")])
    moves: Mask = (rng.random((count, 3)) < 0.5) & usable
    return moves


def apply_symmetries(volumes: NDArray[Any], moves: Mask) -> NDArray[Any]:
    """Apply each sample's symmetries to (B, ..., h, k, E); h ↔ k only on a square panel.

    >>> one = np.arange(4).reshape(1, 2, 2, 1)
    >>> apply_symmetries(one, np.array([[True, False, False]])).ravel().tolist()
    [2, 3, 0, 1]
    """
    out = np.empty_like(volumes)
    for number, (flip_h, flip_k, swap) in enumerate(moves):
        sample = volumes[number]
        sample = sample[..., ::-1, :, :] if flip_h else sample
        sample = sample[..., ::-1, :] if flip_k else sample
        if swap and sample.shape[-3] == sample.shape[-2]:
            sample = sample.swapaxes(-3, -2)
        out[number] = sample
    return out
