"""Batched optimal transport against POT."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mantid_exp2sim.domain.transport import sinkhorn, sinkhorn_divergence
from mantid_exp2sim.errors import Exp2SimError


def test_batched_costs_are_those_of_pot() -> None:
    costs = np.random.default_rng(0).random((3, 20, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing POT says is not ours
        import ot

        expected = [
            ot.sinkhorn2([], [], cost, 0.02, method="sinkhorn_log", numItermax=20_000, stopThr=1e-6)
            for cost in costs
        ]
    assert sinkhorn(costs, 0.02).cost == pytest.approx(np.ravel(expected), rel=2e-3)


def test_marginals_are_met_however_large_the_costs() -> None:
    costs = 1e8 * np.random.default_rng(1).random((4, 20, 20))
    found = sinkhorn(costs, 0.05 * float(np.median(costs)))
    assert (found.marginal_error <= 1e-4).all()
    assert np.isfinite(found.cost).all()


def test_a_divergence_is_zero_at_home_and_grows_with_distance() -> None:
    cloud = np.random.default_rng(2).normal(size=(3, 16, 2))
    found = [float(sinkhorn_divergence(cloud, cloud + d, regularisation=0.2)[0]) for d in (0.0, 1.0, 2.0)]
    assert abs(found[0]) < 1e-3
    assert found[0] < found[1] < found[2]


def test_what_does_not_converge_is_an_error() -> None:
    with pytest.raises(Exp2SimError, match="not converged"):
        sinkhorn(np.random.default_rng(3).random((1, 20, 20)), 1e-3, max_iterations=20)
    with pytest.raises(Exp2SimError, match="finite"):
        sinkhorn(np.full((1, 2, 2), np.nan), 1.0)
