"""Patches of volumes, and symmetries that move them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.dataset import open_dataset
from mantid_exp2sim.training.datasets.patches import find_patch, measured_shares
from mantid_exp2sim.training.datasets.sampler import allowed_symmetries
from tests.helpers.file_sets import domain


def test_patches_are_a_function_of_seed_and_step(paired_set: Path) -> None:
    settings: dict[str, Any] = {"patch": (5, 5, 4), "augment": ("h", "k", "swap")}
    one, two = (domain(paired_set, **settings) for _ in range(2))
    two.at(0)  # what was drawn before does not matter
    assert torch.equal(one.at(7).x, two.at(7).x)
    assert not torch.equal(one.at(8).x, one.at(7).x)
    assert not torch.equal(domain(paired_set, seed=2, **settings).at(7).x, one.at(7).x)


def test_patches_have_enough_measured_bins(paired_set: Path) -> None:
    found = domain(paired_set, patch=(6, 5, 4), batch=20)
    for step in range(5):
        samples = found.at(step)
        assert samples.x.shape == (20, 6, 5, 4)
        assert (1 - samples.mask.float().flatten(1).mean(1) >= 0.5 - 1e-6).all()


def test_the_one_good_place_is_found() -> None:
    mask = np.ones((30, 30, 8), bool)
    mask[20:24, 3:7] = False
    region = find_patch(np.random.default_rng(0), mask.shape, (4, 4, 8), lambda r: mask[r], 1.0)
    assert region == (slice(20, 24), slice(3, 7), slice(0, 8))
    assert find_patch(np.random.default_rng(0), mask.shape, (5, 5, 8), lambda r: mask[r], 1.0) is None


def test_shares_are_those_of_the_patches() -> None:
    mask = np.random.default_rng(1).random((6, 5, 4)) < 0.4
    shares = measured_shares(mask, (2, 3, 2))
    wanted = [
        [[1 - mask[h : h + 2, k : k + 3, e : e + 2].mean() for e in range(3)] for k in range(3)]
        for h in range(5)
    ]
    np.testing.assert_allclose(shares, wanted)


def test_no_patch_is_large_enough(paired_set: Path) -> None:
    with pytest.raises(Exp2SimError, match="No patch of"):
        domain(paired_set, patch=(40, 5, 4)).at(0)


def test_patches_of_simulated_sets(tiny_dataset: Path) -> None:
    found = domain(tiny_dataset, patch=(4, 4, 3), other="integrated")
    samples = found.at(0)
    assert samples.x.shape == (6, 4, 4, 3)
    assert samples.counterpart_mask is None
    assert samples.counterpart is not None
    assert float((samples.counterpart * samples.mask).abs().max()) == 0


def test_a_step_goes_through_a_pixel_of_every_symmetry(paired_set: Path) -> None:
    plain = domain(paired_set, patch=(5, 5, 4), batch=40).at(1)
    moved = domain(paired_set, patch=(5, 5, 4), batch=40, augment=("h", "k", "swap")).at(1)
    kinds = set()
    for one, other in zip(plain.x, moved.x, strict=True):
        found = [
            (h, k, swap)
            for h in (0, 1)
            for k in (0, 1)
            for swap in (0, 1)
            if torch.equal(turned(one, h, k, swap), other)
        ]
        assert found
        kinds |= set(found)
    assert len(kinds) == 8


def test_h_and_k_are_not_exchanged_where_their_bins_differ(paired_set: Path) -> None:
    dataset = open_dataset(paired_set)
    assert allowed_symmetries(dataset, ("h", "swap")) == ("h", "swap")
    h, *rest = dataset.description.axes
    wider = (h.model_copy(update={"width": 2 * h.width}), *rest)
    dataset.description = dataset.description.model_copy(update={"axes": wider})
    assert allowed_symmetries(dataset, ("h", "swap")) == ("h",)


def turned(x: torch.Tensor, h: int, k: int, swap: int) -> torch.Tensor:
    x = x.flip(0) if h else x
    x = x.flip(1) if k else x
    return x.transpose(0, 1) if swap else x
