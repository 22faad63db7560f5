"""The resolution operator: a linear operator's own tests, and agreement with simulated pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.binning import KINDS, Binning, mosaic_binnings
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.manganite import BEST_FIT
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator

FINE = Binning(np.linspace(-1, 1, 17), np.linspace(-0.5, 1, 13), np.linspace(14, 98, 41), 140.0)
ENERGIES = torch.tensor([25.0, 140.0])


@pytest.fixture(scope="module")
def mosaic() -> ResolutionOperator:
    return ResolutionOperator(mosaic_binnings())


@pytest.fixture(scope="module")
def fine() -> ResolutionOperator:
    return ResolutionOperator([FINE])


def _masks() -> torch.Tensor:
    return torch.from_numpy(mosaic_coverage_mask()[[0, 5]].copy())


@pytest.mark.parametrize("masked", [False, True])
def test_adjoint(mosaic: ResolutionOperator, masked: bool) -> None:
    x, y = torch.randn(2, 2, 40, 40, 10, generator=torch.Generator().manual_seed(1))
    mask = _masks() if masked else None
    one = (mosaic(x, ENERGIES, mask).double() * y).sum()
    two = (x.double() * mosaic.adjoint(y, ENERGIES, mask)).sum()
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-2)


def test_adjoint_is_the_gradient(fine: ResolutionOperator) -> None:
    x, y = torch.randn(2, 1, *FINE.shape, generator=torch.Generator().manual_seed(2))
    x.requires_grad_()
    ei = torch.tensor([140.0])
    (fine(x, ei) * y).sum().backward()
    torch.testing.assert_close(x.grad, fine.adjoint(y, ei), rtol=1e-4, atol=1e-5)


def test_norm_is_that_of_an_average(mosaic: ResolutionOperator) -> None:
    """Power iteration: blurring does not make anything larger, beyond the unknown bins at the borders."""
    x = torch.rand(2, 40, 40, 10, generator=torch.Generator().manual_seed(3))
    for _ in range(40):
        x = mosaic.adjoint(mosaic(x, ENERGIES), ENERGIES)
        norm = x.flatten(1).norm(dim=1)
        x = x / norm[:, None, None, None]
    assert float(norm.sqrt().min()) > 0.98
    assert float(norm.sqrt().max()) < 1.25


def test_constant_stays_constant_beside_gaps_and_borders(mosaic: ResolutionOperator) -> None:
    mask = _masks()
    made = mosaic(torch.full((2, 40, 40, 10), 3.0), ENERGIES, mask)
    assert (made[mask] == 0).all()
    torch.testing.assert_close(made[~mask], torch.full_like(made[~mask], 3.0), rtol=0.01, atol=0)


def test_masked_values_are_not_read(mosaic: ResolutionOperator) -> None:
    mask = _masks()
    x = torch.rand(2, 40, 40, 10)
    other = torch.where(mask, 1e6, x)
    torch.testing.assert_close(mosaic(x, ENERGIES, mask), mosaic(other, ENERGIES, mask))


@pytest.mark.parametrize("energy", [0, 1])
def test_flux_of_an_inner_point_stays(mosaic: ResolutionOperator, energy: int) -> None:
    x = torch.zeros(1, 40, 40, 10)
    x[0, 28, 13, 5] = 1
    made = mosaic(x, ENERGIES[energy : energy + 1])
    torch.testing.assert_close(made.sum(), torch.tensor(1.0), rtol=5e-3, atol=0)
    assert made.max() < 0.9


def test_width_of_an_inner_point_is_the_instruments(fine: ResolutionOperator) -> None:
    x = torch.zeros(1, *FINE.shape)
    x[0, 8, 4, 20] = 1
    made = fine(x, torch.tensor([140.0]))[0].sum(dim=(0, 1)).double()
    step = 84 / 40
    places = torch.arange(40).double() * step
    mean = (made * places).sum() / made.sum()
    variance = float((made * (places - mean) ** 2).sum() / made.sum()) - step**2 * (1 + 0.65**2) / 12
    assert variance**0.5 == pytest.approx(0.26 * 0.06 * 140 * 0.95, rel=0.1)  # E = 0.4 Ei


@pytest.mark.parametrize("axes", [("h",), ("energy",), ("h", "k")])
def test_along_some_axes_it_is_that_of_equal_cuts(fine: ResolutionOperator, axes: tuple[str, ...]) -> None:
    ei = torch.tensor([140.0])
    alone = ResolutionOperator([FINE], along=axes)
    other = [1 + dim for dim, axis in enumerate(("h", "k", "energy")) if axis not in axes]
    x = torch.rand(1, *FINE.shape, generator=torch.Generator().manual_seed(4)).mean(other, keepdim=True)
    x = x.expand(1, *FINE.shape)
    inner = (slice(None), slice(2, -2), slice(2, -2), slice(6, -6))
    torch.testing.assert_close(alone(x, ei)[inner], fine(x, ei)[inner], rtol=0.01, atol=0)
    point = torch.zeros(1, *FINE.shape)
    point[0, 8, 4, 20] = 1
    reached = alone(point, ei)[0].nonzero()
    assert [len(reached[:, dim].unique()) > 1 for dim in range(3)] == [
        axis in axes for axis in ("h", "k", "energy")
    ]
    y = torch.rand(1, *FINE.shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close((alone(x, ei) * y).sum(), (x * alone.adjoint(y, ei)).sum())


def test_agrees_with_simulated_pairs() -> None:
    """At least 40 % of the way from `integrated` to `convolved`, in windows and in fine bins."""
    waves = solve_manganite("Goodenough", BEST_FIT["Goodenough"], Options(grid=20))
    for binning in (mosaic_binnings()[4], FINE):
        sharp, blurred = (
            torch.from_numpy(waves.volume(binning, kind))[None].float() for kind in reversed(KINDS[:2])
        )
        operator = ResolutionOperator([binning])
        made = operator(sharp, torch.tensor([binning.incident_energy]))
        error, before = (made - blurred).norm() / blurred.norm(), (sharp - blurred).norm() / blurred.norm()
        assert error < 0.6 * before
        assert made.sum() / blurred.sum() == pytest.approx(1.0, abs=0.02)  # some crosses the borders


def test_wrong_shapes_and_energies_are_refused(mosaic: ResolutionOperator) -> None:
    with pytest.raises(Exp2SimError, match="takes volumes"):
        mosaic(torch.zeros(1, 4, 4, 4), ENERGIES[:1])
    with pytest.raises(Exp2SimError, match="No resolution"):
        mosaic(torch.zeros(1, 40, 40, 10), torch.tensor([60.0]))
    with pytest.raises(Exp2SimError, match="same shape"):
        ResolutionOperator([mosaic_binnings()[0], FINE])


def test_instrument_and_lattice_are_those_of_the_recipe() -> None:
    from mantid_exp2sim.training.datasets.resolution import where_measured
    from mantid_exp2sim.training.datasets.simulate import describe
    from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe

    recipe = read_recipe(Path(__file__).resolve().parents[2] / "examples" / "tutorial" / "simulate.toml")
    description = describe(recipe)
    instrument, lattice = where_measured(description)
    assert instrument.name == "MERLIN"
    assert lattice == pytest.approx((4.215, 4.215))
    built = description.model_copy(update={"recipe": {}})
    told, cell = where_measured(built)
    assert told == instrument
    assert cell == pytest.approx(lattice)
    with pytest.raises(Exp2SimError, match="does not tell its instrument and its lattice"):
        where_measured(built.model_copy(update={"lattice": {}}))
