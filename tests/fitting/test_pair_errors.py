"""Errors from inversion pairs are those that were put in, also where data were cut at 0."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import Measurement, simulate
from mantid_exp2sim.fitting.data import pair_errors, prepare_data
from mantid_exp2sim.mosaic import mosaic_histogram, volumes_from_picture


@pytest.mark.parametrize("cut", [False, True])
def test_variances_are_right_in_dark_and_in_bright_bins(cut: bool) -> None:
    ideal = simulate("Goodenough", grid=12)
    mean = 0.3 * np.nan_to_num(ideal.intensity) + 0.1
    sigma = np.sqrt(0.2 + 0.5 * mean)
    values = mean + sigma * np.random.default_rng(0).standard_normal(mean.shape)
    data = mosaic_histogram(np.maximum(values, 0) if cut else values, mask=ideal.mask)
    (source,) = prepare_data([Measurement(data)])
    truths = zip(volumes_from_picture(sigma), volumes_from_picture(mean), strict=True)
    for part, (sd, expected) in zip(source.parts, truths, strict=True):
        assert part.low.any() == cut
        ratio = (sd / pair_errors(part, expected).sigma) ** 2
        dark = part.used & (expected < np.median(expected[part.used]))
        bright = part.used & (expected > np.quantile(expected[part.used], 0.9))
        assert 0.9 < ratio[part.used].mean() < 1.1
        assert 0.75 < ratio[dark].mean() < 1.25
        assert 0.85 < ratio[bright].mean() < 1.15
