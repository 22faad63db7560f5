"""What makes a training sample differ from the data it is drawn from: symmetries, background and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.training.datasets.dataset import Floats, Mask


def draw_symmetries(rng: np.random.Generator, count: int, allowed: Sequence[str]) -> Mask:
    """For each of ``count`` samples, whether to do h → −h, k → −k and h ↔ k: (count, 3)."""
    wanted = np.array([name in allowed for name in ("h", "k", "swap")])
    moves: Mask = (rng.random((count, 3)) < 0.5) & wanted
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


def _draw_fall(rng: np.random.Generator, bins: int, each: Sequence[int]) -> NDArray[np.float64]:
    """Logarithm of how a background falls with the number of the energy bin, (*each[:-1], bins).

    Its decay length is drawn uniformly between a fifth of the bins and twice their number.
    """
    fall: NDArray[np.float64] = -np.arange(bins) / rng.uniform(0.2 * bins, 2.0 * bins, each)
    return fall


def add_background(rng: np.random.Generator, volumes: Floats, mean: float, *, share: float = 1.0) -> Floats:
    """Volumes (..., h, k, E) with a background each: flat in Q, exponential in the number of the energy bin.

    Its height in the first bin is drawn from an exponential distribution of this mean, its decay length
    uniformly between a fifth of the bins and twice their number. About ``share`` of the samples get one.

    >>> flat = np.zeros((3, 2, 2, 10), dtype=np.float32)
    >>> with_it = add_background(np.random.default_rng(0), flat, 1.0)
    >>> bool((np.diff(with_it, axis=-1) < 0).all()), float(np.ptp(with_it, axis=(1, 2)).max())
    (True, 0.0)
    """
    each = (*volumes.shape[:-3], 1, 1, 1)
    height = rng.exponential(mean, each)
    fall = _draw_fall(rng, volumes.shape[-1], each)
    if share < 1:
        height *= rng.random((len(volumes), *[1] * (volumes.ndim - 1))) < share
    return (volumes + height * np.exp(fall)).astype(np.float32)


def add_noise(rng: np.random.Generator, volumes: Floats, noise: tuple[float, float]) -> Floats:
    """Gaussian counting noise of variance ``noise · max(I, 0)``, the factor drawn per sample from a range.

    Weak noise is drawn more often than strong noise: the factor is low + (high − low) u², u uniform.
    """
    if noise[1] == 0:
        return volumes
    share = rng.random(len(volumes)) ** 2  # weak noise is met most often
    level = (noise[0] + (noise[1] - noise[0]) * share).reshape(-1, *[1] * (volumes.ndim - 1))
    deviation = np.sqrt(level * np.maximum(volumes, 0)).astype(np.float32)
    return volumes + deviation * rng.standard_normal(volumes.shape, dtype=np.float32)


def add_subtraction_noise(
    rng: np.random.Generator, volumes: Floats, highest: float, *, share: float = 1.0
) -> Floats:
    """Volumes (B, ..., h, k, E) with the noise that a background leaves which was subtracted before.

    A background of height b takes no part in the difference, its counts do: their variance, noise · b, is the
    same whatever the intensity. So this is Gaussian noise whose variance is flat in Q and falls with the
    number of the energy bin as the background of :func:`add_background` does. Its standard deviation in the
    first bin is drawn uniformly between 0 and ``highest``, per sample; about ``share`` of the samples get
    some.

    >>> dark = np.zeros((4, 8, 8, 10), dtype=np.float32)
    >>> width = add_subtraction_noise(np.random.default_rng(0), dark, 5.0).std(axis=(1, 2))
    >>> bool((width[:, 0] > width[:, -1]).all()), bool(width.max() < 7)
    (True, True)
    """
    each = (len(volumes), *[1] * (volumes.ndim - 1))
    deviation = rng.uniform(0.0, highest, each) * (rng.random(each) < share)
    falling = (deviation * np.exp(_draw_fall(rng, volumes.shape[-1], each) / 2)).astype(np.float32)
    made: Floats = volumes + falling * rng.standard_normal(volumes.shape, dtype=np.float32)
    return made


def as_measured(
    rng: np.random.Generator,
    volumes: Floats,
    *,
    noise: tuple[float, float],
    background: float,
    background_share: float = 1.0,
    clean_share: float = 0.0,
    subtraction_noise: float = 0.0,
    subtraction_share: float = 1.0,
) -> Floats:
    """Simulated samples (B, ..., h, k, E) with what a measurement adds: :func:`add_background`, then
    :func:`add_noise`, then :func:`add_subtraction_noise`; about ``clean_share`` of the samples stay as they
    are.

    >>> clean = np.ones((50, 2, 2, 4), dtype=np.float32)
    >>> made = as_measured(np.random.default_rng(0), clean, noise=(1, 1), background=1.0, clean_share=0.5)
    >>> 10 < int((made == clean).all(axis=(1, 2, 3)).sum()) < 40
    True
    """
    made = volumes
    if background > 0:
        made = add_background(rng, made, background, share=background_share)
    made = add_noise(rng, made, noise)
    if subtraction_noise > 0:
        made = add_subtraction_noise(rng, made, subtraction_noise, share=subtraction_share)
    if clean_share > 0:
        stay = rng.random(len(made)) < clean_share
        made[stay] = volumes[stay]
    return made
