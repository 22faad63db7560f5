"""Means and shares with 95 % intervals, over spectra and over seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.histogram import Floats

BOOTSTRAP = 2000


class Bootstrap:
    """Draws of seeds and of spectra, the same for all figures of a set, so that they are paired.

    Spectra are drawn with replacement; where there are several seeds (trainings) these are drawn too, so the
    interval covers both. With few seeds it is a lower bound of theirs.
    """

    def __init__(self, seeds: int, spectra: int, seed: int, draws: int = BOOTSTRAP) -> None:
        rng = np.random.default_rng([seed, 2])
        self.spectra = rng.multinomial(spectra, np.full(spectra, 1 / spectra), draws) / spectra
        self.seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds

    def means(self, values: ArrayLike) -> tuple[Floats, Floats]:
        """Means (k,) and their draws (draws, k) of values (seeds, spectra, k)."""
        x = np.asarray(values, dtype=float)
        drawn = np.einsum("ds,dsk->dk", self.seeds, np.einsum("dn,snk->dsk", self.spectra, x, optimize=True))
        return x.mean(axis=(0, 1)), drawn

    def mean(self, values: ArrayLike) -> dict[str, Any]:
        """Mean of values (seeds, spectra) with its interval.

        >>> Bootstrap(1, 3, 0).mean(np.ones((1, 3)))
        {'value': 1.0, 'low': 1.0, 'high': 1.0}
        """
        return self.of(np.asarray(values, dtype=float)[:, :, None], lambda means: float(means[0]))

    def of(self, values: ArrayLike, figure: Callable[[Floats], float | None]) -> dict[str, Any]:
        """A figure of the means of values (seeds, spectra, k), with its interval; per seed if several.

        No interval where more than 5 % of the draws give none.
        """
        x = np.asarray(values, dtype=float)
        means, drawn = self.means(x)
        interval: dict[str, Any] = {"value": figure(means), "low": None, "high": None}
        finite = [value for value in map(figure, drawn) if value is not None]
        if len(finite) > 0.95 * len(drawn):
            interval["low"], interval["high"] = np.quantile(finite, (0.025, 0.975)).tolist()
        if len(x) > 1:
            interval["seeds"] = [figure(mean) for mean in x.mean(axis=1)]
        return interval


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
