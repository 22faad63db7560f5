"""Optimal transport of the domain check: against exact solutions, and where no plan is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mantid_exp2sim.domain import transport
from mantid_exp2sim.domain.transport import sinkhorn_divergence, solve, squared_distances
from mantid_exp2sim.errors import Exp2SimError


def test_costs_are_those_of_the_best_assignment() -> None:
    """Between as many points on both sides, transport is an assignment where nothing is smeared."""
    rng = np.random.default_rng(0)
    costs = squared_distances(rng.normal(size=(3, 20, 2)), rng.normal(size=(3, 20, 2)) + 1)
    best = [cost[linear_sum_assignment(cost)].mean() for cost in costs]
    smeared, _ = solve(costs, 0.01 * float(np.median(costs)))
    assert smeared == pytest.approx(best, rel=0.03)
    assert (smeared > np.array(best) * 0.999).all()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e8])
def test_the_size_of_the_costs_does_not_matter(size: float) -> None:
    costs = np.random.default_rng(1).random((4, 20, 20))
    expected = solve(costs, 0.05 * float(np.median(costs)))
    scaled = solve(size * costs, 0.05 * size * float(np.median(costs)))
    for values, reference in zip(scaled, expected, strict=True):
        assert values / size == pytest.approx(reference, rel=1e-9)


def test_clouds_of_one_shape_are_as_far_as_their_means() -> None:
    """The debiased distance of a shifted cloud is the square of the shift, whatever the regularisation."""
    cloud = np.random.default_rng(2).normal(size=(3, 16, 2))
    for shift in (0.0, 1.0, 2.0, 1000.0):
        moved = sinkhorn_divergence(cloud, cloud + np.array([shift, 0]), regularisation=0.2)
        assert moved == pytest.approx(np.full(3, shift**2), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("size", [10.0, 1e3, 1e8])
def test_clouds_of_other_shapes_far_away_have_a_distance(size: float) -> None:
    """However far they are, the distance is about that of the cloud's points from the other's middle."""
    rng = np.random.default_rng(5)
    near, far = rng.normal(size=(2, 32, 8)), size * (1 + rng.normal(size=(2, 32, 8)) ** 3)
    middle = near.mean(axis=1, keepdims=True)
    spread = squared_distances(far, middle).mean(axis=(1, 2))
    assert sinkhorn_divergence(near, far, regularisation=0.4) == pytest.approx(spread, rel=0.15)


def test_what_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.random.default_rng(3).random((1, 20, 20))
    monkeypatch.setattr(transport, "MAX_ITERATIONS", 3)
    with pytest.raises(transport.NotConverged, match="not converged"):
        solve(costs, 1e-4)
    with pytest.raises(Exp2SimError, match="finite"):
        solve(np.full((1, 2, 2), np.nan), 1.0)
