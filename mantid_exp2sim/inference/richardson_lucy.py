"""Richardson–Lucy deconvolution with the known resolution: it needs no training.

x ← x · Rᵀ(y / R x) / Rᵀ1 over the measured bins, for positive data y (Richardson, JOSA 62 (1972) 55; Lucy,
Astron. J. 79 (1974) 745). It starts from the local mean R y. Each iteration explains the data better, in the
end their noise too: it stops where that no longer pays (`richardson_lucy`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.noise_replicas import noise_key, standard_normal_pair
from mantid_exp2sim.simulation.local_blur import MeasuredBlur, Singles

Stop = Literal["noise", "no further gain", "explained", "maximum"]
MAX_ITERATIONS = 30
GAIN = 0.03
"""Share of the squared residual that an iteration explains, below which there is no further gain."""
EXACT = 0.01
"""Norm of the residual over that of the data, below which they are explained."""
PROBE = 0.3
"""Standard deviations of noise by which data are changed to see how closely the result follows them."""
AT_ONCE = 4_000_000
"""Bins of the replicas that are deconvolved together."""
PROBED_BINS = 20_000
"""Bins over which the answer to such changes is averaged: small data are probed more than once."""


@dataclass(frozen=True, slots=True, eq=False)
class Deconvolved:
    """What Richardson–Lucy made of one volume.

    ``intensity`` and ``variance`` of the shape of the data, 0 where not measured. ``chi_squared`` is the
    mean square of the residual over the variance of the data, ``unexplained`` the norm of the residual
    beyond that of the noise, over that of the data.
    """

    intensity: Floats
    variance: Floats
    iterations: int
    stop: Stop
    chi_squared: float
    unexplained: float


def iterates(blur: MeasuredBlur, y: npt.ArrayLike) -> Iterator[tuple[Singles, Singles]]:
    """Yield x and R x, from the start on, without end; both are 0 where not measured.

    Negative data count as 0, and what is positive around them as that much less. Data may have more axes in
    front of those of the blur.
    """
    data = positive(blur, np.asarray(y, dtype=np.float32))
    floor = np.float32(1e-6 * float(data.mean()) + 1e-30)
    reach = np.maximum(blur.adjoint(blur.measured), np.float32(1e-3))
    x: Singles = np.maximum(blur.blur(data), floor) * blur.measured
    while True:
        again = np.maximum(blur.blur(x), floor) * blur.measured
        yield x, again
        ratio = np.divide(data, again, out=np.zeros_like(data), where=again > 0)
        x = np.asarray(x * blur.adjoint(ratio) / reach, dtype=np.float32)


def positive(blur: MeasuredBlur, y: Singles) -> Singles:
    """Take negative data for 0, and so much off what is around them that the local means stay."""
    data = np.asarray(np.maximum(y, 0) * blur.measured, dtype=np.float32)
    if not (y * blur.measured < 0).any():
        return data
    mean = np.maximum(blur.blur(y), 0)
    for _ in range(2):
        around = blur.blur(data)
        share = np.divide(mean, around, out=np.zeros_like(mean), where=around > 0)
        data = data * np.minimum(share, np.float32(1))
    return data


def richardson_lucy(
    blur: MeasuredBlur,
    y: npt.ArrayLike,
    variance: npt.ArrayLike,
    *,
    replicas: int = 0,
    seed: int = 0,
    level: int = 0,
) -> Deconvolved:
    """Deconvolve one volume.

    It stops where the expected error of R x begins to rise (noise), where an iteration explains less than
    `GAIN` more of the data, where they are explained to `EXACT`, or after `MAX_ITERATIONS`. The expected
    error is Stein's unbiased estimate ‖y − R x‖² − Σ v + 2 Σ v ∂(R x)/∂y (Annals of Statistics 9 (1981)
    1135): the discrepancy principle, ‖y − R x‖² = Σ v, for a result that follows the noise in part. The
    derivative is probed by changing the data.

    Parameters
    ----------
    y, variance
        Of the shape of the blur; what is masked is not read. The variance is that of the noise, 0 for none.
    replicas
        Deconvolutions of data with more noise, whose variance is that of the result; 0: it is 0.
    seed, level
        Seed of the noise, and a number that tells volumes apart.
    """
    data = np.asarray(y, dtype=np.float32) * blur.measured
    noise = np.asarray(variance, dtype=np.float32) * blur.measured
    iterations, stop, x, again = _stopped(blur, data, noise, seed, level)
    factor = _kept(data, x)
    spread = np.zeros(data.shape)
    if replicas and noise.any():
        total = np.zeros((2, *data.shape))
        fields = _fields(data.shape, replicas, seed, level)
        while batch := list(islice(fields, max(1, AT_ONCE // data.size))):
            others = iterates(blur, data + np.sqrt(noise) * np.stack(batch))
            step = factor * (next(islice(others, iterations, None))[0] - x).astype(np.float64)
            total += step.sum(axis=0), (step**2).sum(axis=0)
        spread = np.maximum(total[1] - total[0] ** 2 / replicas, 0.0) / (replicas - 1)
    residual = float(np.square(data - again, dtype=np.float64).sum())
    size = float(np.square(data, dtype=np.float64).sum())
    explained = max(residual - float(noise.sum(dtype=np.float64)), 0.0)
    noisy = noise > 0
    chi_squared = float(np.mean((data - again)[noisy] ** 2 / noise[noisy])) if noisy.any() else float("nan")
    return Deconvolved(
        factor * x.astype(np.float64), spread, iterations, stop, chi_squared,
        float(np.sqrt(explained / size)) if size else 0.0,
    )  # fmt: skip


def _stopped(
    blur: MeasuredBlur, data: Singles, noise: Singles, seed: int, level: int
) -> tuple[int, Stop, Singles, Singles]:
    """Iterate until it pays no longer: how often, why, x and R x."""
    sigma, bins = np.sqrt(noise), max(1, int(blur.measured.sum()))
    count = min(16, -(-PROBED_BINS // bins)) if noise.any() else 0
    fields = np.stack([np.zeros_like(data), *_fields(data.shape, count, seed + 1, level)])
    size = float(np.square(data, dtype=np.float64).sum())
    last: tuple[float, float, Singles, Singles] | None = None
    together = islice(iterates(blur, data + PROBE * sigma * fields), MAX_ITERATIONS + 1)
    for number, (iterate, predicted) in enumerate(together):
        x, again = iterate[0], predicted[0]
        residual = float(np.square(data - again, dtype=np.float64).sum())
        follows = float((sigma * fields * (predicted - again)).sum(dtype=np.float64))
        risk = residual + 2 * follows / max(PROBE * count, 1e-30) if count else residual
        if last is not None and number > 1 and risk > last[1]:
            return number - 1, "noise" if count else "no further gain", last[2], last[3]
        if last is not None and residual > (1 - GAIN) * last[0]:
            return number, "no further gain", x, again
        if residual <= EXACT**2 * size:
            return number, "explained", x, again
        last = residual, risk, x, again
    return MAX_ITERATIONS, "maximum", x, again


def _kept(data: Singles, x: Singles) -> float:
    """The factor that gives a result the total of its data, within 10 %: noise below 0 adds to it."""
    before, after = float(data.sum(dtype=np.float64)), float(x.sum(dtype=np.float64))
    return float(np.clip(before / after, 0.9, 1.1)) if before > 0 and after > 0 else 1.0


def _fields(shape: tuple[int, ...], count: int, seed: int, level: int) -> Iterator[Singles]:
    """Normal noise of a volume, a field for each replica; it depends on the seed, the level and the bin."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.uint64).reshape(shape)
    for pair in range(0, count, 2):
        for field in standard_normal_pair([noise_key(seed, pair, level)], numbers)[: count - pair]:
            yield field[0]
