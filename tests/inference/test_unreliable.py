"""Bins that were not measured are found from the data, and edges of gaps that contradict their partners."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mantid_exp2sim.inference.unreliable import find_unreliable

Array = NDArray[np.float64]


@pytest.fixture
def measured() -> Array:
    """Counts (1, 40, 40, 4) with the same mean at (h, k) and (−h, −k): bright in the middle."""
    rng = np.random.default_rng(1)
    h, k = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), indexing="ij")
    mean = 40 * np.exp(-2 * (h**2 + k**2))[None, :, :, None] * np.ones(4) + 5
    return rng.poisson(mean).astype(float)


def no_mask(values: Array) -> NDArray[np.bool_]:
    return np.zeros(values.shape, dtype=bool)


def test_a_gap_of_zeros_is_found_without_a_mask(measured: Array) -> None:
    gap = no_mask(measured)
    gap[0, 10:14, 5:25] = gap[0, :, 36:] = True
    found = find_unreliable(np.where(gap, 0.0, measured), no_mask(measured))
    assert np.array_equal(found.unmeasured, gap)
    assert len(found.notes) == 1
    assert str(int(gap.sum())) in found.notes[0]


def test_dark_bins_among_others_are_no_gap(measured: Array) -> None:
    """Negatives that were cut are 0 here and there, however many they are."""
    rng = np.random.default_rng(2)
    values = np.where(rng.random(measured.shape) < 0.4, 0.0, measured)
    found = find_unreliable(values, no_mask(values))
    assert found.unmeasured.mean() < 0.002


def test_calculated_zeros_stay(measured: Array) -> None:
    """What equals its inversion has no noise."""
    values = measured + measured[:, ::-1, ::-1]
    values[:, 17:23, 17:23] = 0.0
    assert find_unreliable(values, no_mask(values)).notes == ()


def test_a_mask_that_is_given_is_believed(measured: Array) -> None:
    mask = no_mask(measured)
    mask[0, 0] = True
    values = np.where(mask, 0.0, measured)
    values[0, 10:14, 5:25] = 0.0
    assert not find_unreliable(values, mask).unmeasured.any()


def test_good_edges_stay_and_spoilt_ones_go(measured: Array) -> None:
    mask = no_mask(measured)
    mask[0, 8:12, 6:18] = True
    assert find_unreliable(np.where(mask, 0.0, measured), mask).notes == ()
    spoilt = measured.copy()
    spoilt[0, 7, 6:18] *= 0.2  # half covered by a detector
    spoilt[0, 12, 6:18] *= 3.0
    found = find_unreliable(np.where(mask, 0.0, spoilt), mask)
    assert found.edges[0, [7, 12], 6:18].mean() > 0.6
    touched = found.edges.copy()
    touched[0, 7:13, 5:19] = False
    assert not touched.any()
