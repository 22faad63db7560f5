"""Classifiers that take the data of some incident energies alone."""

from __future__ import annotations

import torch

from mantid_exp2sim.training.datasets.sampler import Samples
from mantid_exp2sim.training.trainers.classifier import leave_out


def samples(count: int) -> Samples:
    shape = (count, 6, 3, 3, 2)
    mask = torch.zeros(shape)
    mask[:, :, 0] = 1
    return Samples(torch.where(mask > 0, 0.0, 1.0), mask, torch.zeros(count), torch.zeros(count).long())


def test_whole_energies_go_and_one_stays() -> None:
    before = samples(400)
    after = leave_out(before, 0.5, torch.Generator().manual_seed(0))
    gone = after.mask.flatten(2).min(2).values > 0  # (B, Ei)
    assert (after.x[gone] == 0).all()
    assert torch.equal(after.x[~gone], before.x[~gone])
    assert torch.equal(after.mask[~gone], before.mask[~gone])
    assert (~gone).any(1).all()
    touched = gone.any(1)
    assert 0.4 < touched.float().mean() < 0.6
    assert set(gone[touched].sum(1).tolist()) == {1, 2, 3, 4, 5}


def test_share_of_zero_changes_nothing() -> None:
    before = samples(4)
    after = leave_out(before, 0.0, torch.Generator())
    assert torch.equal(after.x, before.x)
    assert torch.equal(after.mask, before.mask)
