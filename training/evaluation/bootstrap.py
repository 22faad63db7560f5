"""Means and shares with 95 % bootstrap intervals over spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.histogram import Floats

BOOTSTRAP = 2000
"""Draws of spectra with replacement; the same for all figures of as many spectra, so that they are paired."""


def interval(
    values: ArrayLike, seed: int, figure: Callable[[Floats], float | None] = lambda means: float(means[0])
) -> dict[str, Any]:
    """Compute a figure of the means of values (spectra,) or (spectra, k), with its interval.

    No interval where more than 5 % of the draws give none.

    >>> interval(np.ones(3), seed=0)
    {'value': 1.0, 'low': 1.0, 'high': 1.0}
    """
    x = np.asarray(values, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    weights = np.random.default_rng([seed, 2]).multinomial(len(x), np.full(len(x), 1 / len(x)), BOOTSTRAP)
    answer: dict[str, Any] = {"value": figure(x.mean(axis=0)), "low": None, "high": None}
    finite = [value for value in map(figure, weights / len(x) @ x) if value is not None]
    if len(finite) > 0.95 * BOOTSTRAP:
        answer["low"], answer["high"] = np.quantile(finite, (0.025, 0.975)).tolist()
    return answer


def closed(means: Floats) -> float | None:
    """(translated − raw)/(ceiling − raw) of accuracies (ceiling, raw, translated); None without a gap.

    >>> closed(np.array([0.9, 0.5, 0.8]))
    0.75
    """
    ceiling, raw, translated = (float(value) for value in means)
    return round((translated - raw) / (ceiling - raw), 12) if ceiling > raw else None


def share_of(means: Floats) -> float | None:
    """The first over the second; None without a second."""
    return float(means[0] / means[1]) if means[1] > 0 else None
