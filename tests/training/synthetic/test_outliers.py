"""Synthetic inputs of no class."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.config import OutlierKind
from mantid_exp2sim.training.synthetic.magnets import Magnets, draw_magnet, spectrum
from mantid_exp2sim.training.synthetic.outliers import make_outliers

PANELS = 6
EDGES = np.array([[1.0, 3.0, 5.0, 7.0], [10.0, 30.0, 50.0, 70.0]])
LEVELS = torch.from_numpy((EDGES[:, 1:] + EDGES[:, :-1]) / 2).float().flatten()


def magnets(noise: float = 0.0) -> Magnets:
    return Magnets(EDGES, Scaling(intensity_scale=2.0), MeasurementNoise(counting=(noise, noise)))


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
    made = make_outliers(x, torch.Generator().manual_seed(0), [kind], levels=LEVELS, magnets=magnets())
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
    assert set(measured.round(decimals=4).tolist()) == {0.0, 1.0}
    empty = (seen[:, :PANELS].amax((2, 3)) == 0).float().mean(0)
    assert bool((empty.diff() >= 0).all())
    assert empty[0] == 0
    assert empty[-1] > 0.5


def test_kinds_come_as_often_as_they_are_named() -> None:
    x = mosaic()[:1].repeat(200, 1, 1, 1)
    made = make_outliers(x, torch.Generator().manual_seed(1), ["zeros", "noise", "noise", "noise"])
    zeros = (made[:, :PANELS].amax((1, 2, 3)) == 0).float().mean()
    assert 0.15 < float(zeros) < 0.35


def test_a_magnet_has_the_mean_intensity_and_the_noise_of_a_sample() -> None:
    levels = []
    for seed in range(60):
        made = magnets().panels(np.random.default_rng(seed), 5.0, (8, 8))
        levels.append(float(Scaling(intensity_scale=2.0).inverse(torch.from_numpy(made)).mean()))
    assert 3.0 < np.exp(np.mean(np.log(levels))) < 8.0
    clean, noisy = (magnets(n).panels(np.random.default_rng(1), 5.0, (8, 8)) for n in (0.0, 1.0))
    assert not np.allclose(clean, noisy, atol=0.1)
    assert np.array_equal(clean, magnets().panels(np.random.default_rng(1), 5.0, (8, 8)))


def test_no_antiferromagnet_is_on_the_square_lattice() -> None:
    """That of Rb2MnF4, with which foreign materials are tested, is one that no classifier has met."""
    rng = np.random.default_rng(0)
    drawn = [draw_magnet(rng, 50.0) for _ in range(300)]
    square = []
    for magnet in drawn:
        (a, b), lattice = np.linalg.norm(magnet.lattice, axis=1), magnet.lattice
        cosine = lattice[0] @ lattice[1] / (a * b)
        if abs(np.log(a / b)) < 0.2 and abs(cosine) < 0.2:
            square.append(magnet)
    assert len(square) > 20
    assert not any(magnet.antiferromagnet for magnet in square)


def test_on_the_own_cell_it_is_told_from_the_square_lattice_by_its_exchanges() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_magnet(rng, 50.0, own_cell=True) for _ in range(300)]
    ratios = [dict(magnet.bonds)[0, 1] for magnet in drawn if magnet.antiferromagnet]
    assert len(ratios) > 100
    assert max(ratios) < 0.8
    # γ comes again after two reciprocal lattice vectors, whatever the multiple
    h, k = rng.uniform(-1, 1, (2, 50))
    assert all(
        np.allclose(magnet.gamma(h, k), magnet.gamma(h + 2, k))
        and np.allclose(magnet.gamma(h, k + 2), magnet.gamma(h, k))
        for magnet in drawn
    )


def test_all_intensity_of_a_magnet_lies_in_its_band() -> None:
    magnet = draw_magnet(np.random.default_rng(4), 60.0)
    edges = np.linspace(0, 100, 101)[None]
    along = spectrum(magnet, edges, (10, 10), 0.5).sum((0, 1, 2))
    band = np.flatnonzero(along > 1e-6 * along.max())
    assert band[-1] <= max(magnet.tops) + 3
    assert band[0] >= min(magnet.tops) * magnet.gap - 3
    # each q scatters with its weight, wherever its line is
    whole = spectrum(magnet, np.array([[-50.0, 200.0]]), (10, 10), 0.01)[..., 0] * 250
    parts = spectrum(magnet, np.linspace(-50, 200, 26)[None], (10, 10), 0.01).sum(-1) * 10
    np.testing.assert_allclose(whole, parts, rtol=1e-6)
