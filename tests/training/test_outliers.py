"""Synthetic inputs of no class."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from mantid_exp2sim.training.config import OutlierKind
from mantid_exp2sim.training.outliers import make_outliers

PANELS = 6
LEVELS = torch.tensor([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


def mosaic() -> torch.Tensor:
    """Two mosaics of bright spots on a lattice, with a gap: (2, 2·panels, 20, 20)."""
    h = torch.linspace(-1, 1, 20)
    spots = (torch.cos(6 * h)[:, None] * torch.cos(6 * h)).clamp_min(0) ** 2
    x = torch.zeros(2, 2 * PANELS, 20, 20)
    x[:, :PANELS] = spots + 0.1 * torch.arange(1, PANELS + 1)[:, None, None]
    x[:, PANELS:, 8:12, 3:5] = 1
    return torch.where(
        x[:, PANELS:].repeat(1, 2, 1, 1) > 0, torch.cat([0 * x[:, :PANELS], x[:, PANELS:]], 1), x
    )


@pytest.mark.parametrize("kind", get_args(OutlierKind))
def test_outliers_keep_the_mask_and_are_something_else(kind: OutlierKind) -> None:
    x = mosaic()
    made = make_outliers(x, torch.Generator().manual_seed(0), [kind], levels=LEVELS)
    assert torch.equal(made[:, PANELS:], x[:, PANELS:])
    assert bool(torch.isfinite(made).all())
    assert not made[:, :PANELS][x[:, PANELS:] > 0].any()
    assert not torch.allclose(made, x, atol=0.05)


def test_another_lattice_is_smooth_over_the_gaps_and_has_a_narrower_band() -> None:
    x = mosaic()
    flat = torch.cat([torch.where(x[:, PANELS:] > 0, 0.0, torch.ones(())), x[:, PANELS:]], 1)
    draws = torch.Generator().manual_seed(3)
    seen = make_outliers(flat.repeat(20, 1, 1, 1), draws, ["lattice"], levels=LEVELS)
    measured = seen[:, :PANELS][flat.repeat(20, 1, 1, 1)[:, PANELS:] == 0]
    # of one level everywhere nothing shows where the gaps were; panels above the band are empty
    assert set(measured.round(decimals=4).unique().tolist()) == {0.0, 1.0}
    empty = (seen[:, :PANELS].amax((2, 3)) == 0).float().mean(0)
    assert bool((empty.diff() >= 0).all())
    assert empty[0] == 0
    assert empty[-1] > 0.5


def test_kinds_come_as_often_as_they_are_named() -> None:
    x = mosaic()[:1].repeat(200, 1, 1, 1)
    made = make_outliers(x, torch.Generator().manual_seed(1), ["zeros", "noise", "noise", "noise"])
    zeros = (made[:, :PANELS].amax((1, 2, 3)) == 0).float().mean()
    assert 0.15 < float(zeros) < 0.35
