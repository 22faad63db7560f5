"""Distances of unpaired sets."""

from __future__ import annotations

import pytest
import torch

from mantid_exp2sim.training.trainers.metrics import sliced_distance


def test_a_set_is_at_no_distance_from_itself_in_another_order() -> None:
    x = torch.rand(4, 2, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    mask = x > 0.99
    assert sliced_distance(x, mask, x.flip(0), mask.flip(0)) == 0


def test_single_bins_that_are_moved_by_two_deviations_are_at_distance_two() -> None:
    x = torch.randn(3, 1, 30, 30, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(x.shape, dtype=torch.bool)
    moved = x + 2 * x.std()
    assert sliced_distance(moved, mask, x, mask, patch=1, windows=1) == pytest.approx(2.0, rel=5e-3)


def test_what_is_masked_is_not_looked_at() -> None:
    x = torch.rand(3, 1, 8, 8, 3, generator=torch.Generator().manual_seed(2))
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.05
    wild = x.masked_fill(mask, 1e6)
    assert sliced_distance(wild, mask, x, mask) == 0
