"""Small measurements of the square-lattice antiferromagnet, with a background and noise of known errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mantid_exp2sim import Binning, Histogram, simulate

Measure = Callable[..., Histogram]


@pytest.fixture(scope="session")
def measure() -> Measure:
    def make(j1: float = 0.6, j2: float = 0.05, *, seed: int = 0, errors: bool = True) -> Histogram:
        binning = Binning.regular(14.0, bins=(14, 14, 6), energy=(1.4, 9.8))
        ideal = simulate("rb2mnf4", {"J1": j1, "J2": j2}, binning=binning, grid=10)
        expected = 0.4 * np.nan_to_num(ideal.intensity) + 3.0 * np.exp(-np.arange(6) / 4)
        variance = 0.02 * expected
        noisy = expected + np.sqrt(variance) * np.random.default_rng(seed).standard_normal(ideal.shape)
        return ideal.replace(intensity=noisy, variance=variance if errors else 0 * variance)

    return make
