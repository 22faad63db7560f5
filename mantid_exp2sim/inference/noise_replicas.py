"""Gaussian noise by bin number: any part of a volume gets what the whole would get, in any order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def noise_key(*numbers: int) -> int:
    """A key of 64 bits from whole numbers >= 0, such as (seed, replica, incident energy in µeV)."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0])


def standard_normal_pair(
    keys: Sequence[int], numbers: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two independent standard normal fields for bins of these numbers: float32 (keys, \\*numbers.shape).

    The bits are those of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), which can start at any number; two of
    its halves give two normal deviates (Box & Muller 1958). Beyond 6.7 standard deviations there is nothing.

    >>> bins = np.arange(100_000, dtype=np.uint64)
    >>> one, two = standard_normal_pair([noise_key(0, 1)], bins)
    >>> bool(abs(one.mean()) < 0.02), bool(abs(two.std() - 1) < 0.02), bool(abs((one * two).mean()) < 0.02)
    (True, True, True)
    >>> bool((standard_normal_pair([noise_key(0, 1)], bins[500:600])[0] == one[:, 500:600]).all())
    True
    """
    start = np.array(keys, dtype=np.uint64).reshape(-1, *[1] * numbers.ndim)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        z = start + (numbers + np.uint64(1)) * _STEP
        z = (z ^ (z >> np.uint64(30))) * _MIX[0]
        z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    z ^= z >> np.uint64(31)
    high, low = (z >> np.uint64(32)).astype(np.uint32), z.astype(np.uint32)
    radius = np.sqrt(-2 * np.log((high.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)))
    angle = low.astype(np.float32) * np.float32(2 * np.pi * 2.0**-32)
    return radius * np.cos(angle), radius * np.sin(angle)
