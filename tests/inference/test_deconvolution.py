"""Richardson–Lucy with the known resolution, on a simulated pair."""

from __future__ import annotations

import pytest
import torch

from mantid_exp2sim.inference.deconvolution import choose_iterations, deconvolve_mosaics, richardson_lucy
from mantid_exp2sim.simulation.binning import KINDS, mosaic_binnings
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.manganite import BEST_FIT
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator

Pair = tuple[ResolutionOperator, torch.Tensor, torch.Tensor, torch.Tensor]
EI = torch.tensor([100.0])


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Operator, data and truth (1, h, k, E), mask."""
    binning = mosaic_binnings()[4]
    waves = solve_manganite("Goodenough", BEST_FIT["Goodenough"], Options(grid=20))
    data, truth = (torch.from_numpy(waves.volume(binning, kind))[None].float() for kind in KINDS[:2])
    return (
        ResolutionOperator([binning]),
        data,
        truth,
        torch.from_numpy(mosaic_coverage_mask()[4].copy())[None],
    )


def test_it_comes_nearer_to_the_truth_and_stays_positive(pair: Pair) -> None:
    operator, data, truth, mask = pair
    made = richardson_lucy(operator, data, EI, mask, iterations=5)
    errors = [float(((x - truth) * ~mask).norm()) for x in (data, made)]
    assert errors[1] < 0.7 * errors[0]
    assert (made >= 0).all()
    assert (made[mask] == 0).all()


def test_what_is_masked_is_not_read(pair: Pair) -> None:
    operator, data, _, mask = pair
    made = richardson_lucy(operator, data, EI, mask, iterations=3)
    other = richardson_lucy(operator, torch.where(mask, 1e4, data), EI, mask, iterations=3)
    torch.testing.assert_close(made, other)


def test_a_batch_is_its_samples(pair: Pair) -> None:
    operator, data, _, mask = pair
    both = deconvolve_mosaics(operator, torch.stack([data, 2 * data]), EI, mask, iterations=3, noise=0.7)
    for number, y in enumerate((data, 2 * data)):
        alone = richardson_lucy(operator, y, EI, mask, iterations=3, variance=0.7 * y)
        torch.testing.assert_close(both[number], alone, rtol=1e-4, atol=1e-5)


def test_noise_asks_for_fewer_iterations(pair: Pair) -> None:
    operator, data, truth, mask = pair
    noisy = data + (2.0 * data).sqrt() * torch.randn(data.shape, generator=torch.Generator().manual_seed(0))
    clean, _ = choose_iterations(operator, data[None], truth[None], EI, mask, most=12)
    less, error = choose_iterations(operator, noisy[None], truth[None], EI, mask, noise=2.0, most=12)
    assert less < clean
    assert 0 < error < 1


def test_data_of_nothing_stay_finite(pair: Pair) -> None:
    operator, data, _, mask = pair
    made = richardson_lucy(operator, -data, EI, mask, iterations=2)
    assert torch.isfinite(made).all()
