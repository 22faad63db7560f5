"""How noisy are data? From their errors, or from the data themselves where they have none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mantid_exp2sim.histogram import Booleans, Floats, Histogram, integrated_axes
from mantid_exp2sim.histogram.uncertainty import estimate_variance
from mantid_exp2sim.simulation.local_blur import MeasuredBlur

NoiseSource = Literal["errors of the data", "inversion pairs", "local differences"]
WEAK = 0.05
"""Of the mean intensity or variance: where it is less, the noise is that of this much."""
USUAL = 0.98
"""Share of the differences that are noise; the largest may be something else."""


def noise_of(histogram: Histogram, blur: MeasuredBlur) -> tuple[Floats, NoiseSource]:
    """Return the variance of each bin, 0 where not measured, and where it is from.

    Data without errors are compared with themselves at −Q, where the bins lie so, and each bin with its
    neighbours; both tell too much rather than too little, and the lesser counts. The variance is taken
    proportional to the local mean, as of counts. Errors far below the others, as of bins without counts,
    are raised to `WEAK` of the mean variance; intensities without an error have that of counts.
    """
    measured = ~histogram.mask
    errors = estimate_variance(histogram.intensity, histogram.variance, histogram.mask)
    variance = np.where(measured, errors, 0.0)
    if (variance > 0).any():
        return np.where(
            measured, np.maximum(variance, WEAK * variance[measured].mean()), 0.0
        ), "errors of the data"
    values = np.where(measured, histogram.intensity, 0.0)
    mean = np.asarray(blur.blur(values), dtype=np.float64)
    size = float(np.abs(mean[measured]).mean()) if measured.any() else 0.0
    level = np.where(measured, np.maximum(mean, WEAK * size), 0.0)
    factors: dict[NoiseSource, float] = {}
    difference, inside = _differences(values, measured)
    factors["local differences"] = _factor(difference, level, inside)
    if (pairs := _inverted(histogram, values, measured)) is not None:
        factors["inversion pairs"] = _factor(pairs[0], level, pairs[1])
    source = min(factors, key=lambda name: factors[name])
    return factors[source] * level, source


def _factor(difference: Floats, level: Floats, where: Booleans) -> float:
    """The variance over the level, without the largest differences; 0 where there is nothing to compare."""
    squares, levels = difference[where] ** 2, level[where]
    if not squares.size or not levels.sum() > 0:
        return 0.0
    usual = squares <= np.quantile(squares / np.maximum(levels, 1e-300), USUAL) * levels
    return float(squares[usual].sum() / levels[usual].sum())


def _inverted(histogram: Histogram, values: Floats, measured: Booleans) -> tuple[Floats, Booleans] | None:
    """Differences of (Q, E) and (−Q, E), and where both were measured; None where bins do not lie so."""
    along = tuple(i for i, axis in enumerate(histogram.axes) if axis.kind not in ("energy", "modQ"))
    symmetric = all(
        np.allclose(axis.edges, -axis.edges[::-1], rtol=0, atol=1e-3 * float(axis.widths.min()))
        for axis in (histogram.axes[i] for i in along)
    )
    if not along or not symmetric or not _integrated_symmetrically(histogram):
        return None
    both = measured & np.flip(measured, along)
    difference = (values - np.flip(values, along)) * np.sqrt(0.5)
    return (difference, both) if both.sum() > measured.sum() / 4 else None


def _integrated_symmetrically(histogram: Histogram) -> bool:
    """Whether ranges of Q that the data were integrated over lie about 0, as far as they are told."""
    axes = (axis for axis in integrated_axes(histogram) if axis.kind not in ("energy", "modQ"))
    return all(abs(axis.centres[0]) <= 0.5e-3 * axis.widths[0] for axis in axes)


def _differences(values: Floats, measured: Booleans) -> tuple[Floats, Booleans]:
    """Second differences along every axis of three or more bins, of the variance of the noise, and where."""
    difference, inside = values, measured
    for axis, count in enumerate(values.shape):
        if count < 3:
            continue
        first, middle, last = (np.take(difference, range(i, count - 2 + i), axis) for i in range(3))
        difference = (first - 2 * middle + last) / np.sqrt(6)
        parts = [np.take(inside, range(i, count - 2 + i), axis) for i in range(3)]
        inside = parts[0] & parts[1] & parts[2]
    whole, where = np.zeros_like(values), np.zeros_like(measured)
    centre = tuple(slice(1, -1) if count >= 3 else slice(None) for count in values.shape)
    whole[centre], where[centre] = difference, inside
    return whole, where & (values.ndim > 0)
