"""The blur of binned data: what every linear operator must hold, and the moments of its Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.local_blur import FILLED, Covariances, LocalBlur, Singles, local_blur

WIDTHS = np.array([0.05, 0.08, 1.4])
CORRELATIONS = np.array([[1.0, 0.3, -0.6], [0.3, 1.0, 0.4], [-0.6, 0.4, 1.0]])
EDGES = [np.linspace(-1, 1, 33), np.linspace(-0.5, 0.5, 15), np.linspace(5, 35, 31)]


def equal_everywhere(covariance: Floats) -> Covariances:
    def covariances(centres: list[Floats]) -> Floats:
        return np.broadcast_to(covariance, (*(c.size for c in centres), *covariance.shape))

    return covariances


def wider_with_energy(centres: list[Floats]) -> Floats:
    """The same correlations, and widths that grow by half along the last axis."""
    covariance = CORRELATIONS * np.outer(WIDTHS, WIDTHS)
    growth = 1 + 0.5 * (centres[-1] - EDGES[2][0]) / np.ptp(EDGES[2])
    shape = (*(c.size for c in centres), 1, 1)
    return np.asarray(covariance * np.broadcast_to((growth**2)[:, None, None], shape))


@pytest.fixture(scope="module")
def blur() -> LocalBlur:
    return local_blur(EDGES, wider_with_energy)


def masks(seed: int, share: float) -> Booleans:
    return np.asarray(np.random.default_rng(seed).random((32, 14, 30)) < share)


@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.3, 0.9]))
def test_adjoint(blur: LocalBlur, seed: int, share: float) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, *blur.shape))
    resolution = blur.on(masks(seed, share))
    forward = float((resolution.blur(x) * y).sum(dtype=float))
    backward = float((resolution.adjoint(y) * x).sum(dtype=float))
    assert forward == pytest.approx(backward, abs=1e-3)


@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.3, 0.9]), value=st.floats(1e-3, 1e6))
def test_constant_stays_constant_beside_gaps_and_borders(
    blur: LocalBlur, seed: int, share: float, value: float
) -> None:
    mask = masks(seed, share)
    again = blur.on(mask).blur(np.where(mask, np.nan, value))
    np.testing.assert_allclose(again[~mask], value, rtol=1e-5)
    assert (again[mask] == 0).all()


def test_masked_values_are_not_read(blur: LocalBlur) -> None:
    mask, x = masks(1, 0.4), np.random.default_rng(2).random((32, 14, 30))
    resolution = blur.on(mask)
    for apply in (resolution.blur, resolution.adjoint):
        np.testing.assert_array_equal(apply(x), apply(np.where(mask, np.nan, x)))


def test_norm_is_that_of_an_average(blur: LocalBlur) -> None:
    """Power iteration: blurring does not make anything larger, beyond the unknown bins at the borders."""
    x: Singles = np.random.default_rng(3).random(blur.shape).astype(np.float32)
    resolution = blur.on()
    for _ in range(40):
        x = resolution.adjoint(resolution.blur(x))
        norm = float(np.linalg.norm(x))
        x = np.asarray(x / norm)
    assert 0.98 < norm**0.5 < 1.25


@pytest.mark.parametrize("scale", [1.0, 0.3, 2.0], ids=["as wide as bins", "narrow", "wide"])
def test_a_point_is_spread_as_random_deviations_are(scale: float) -> None:
    """Monte Carlo of the correlated deviations, from anywhere in the middle of a bin."""
    edges = [np.linspace(-1, 1, 42), np.linspace(-1, 1, 32), np.linspace(-20, 20, 42)]
    covariance = scale**2 * CORRELATIONS * np.outer(WIDTHS, WIDTHS)
    kernel = local_blur(edges, equal_everywhere(covariance))
    x = np.zeros(kernel.shape, dtype=np.float32)
    x[20, 15, 20] = 1
    rng, size = np.random.default_rng(0), 400_000
    steps = np.array([np.diff(edge)[0] for edge in edges])
    middle = np.array([0.5 * (edge[n] + edge[n + 1]) for edge, n in zip(edges, (20, 15, 20), strict=True)])
    start = middle + FILLED * steps * rng.uniform(-0.5, 0.5, (size, 3))
    ends = start + rng.multivariate_normal(np.zeros(3), covariance, size)
    expected = np.histogramdd(ends, edges)[0] / size
    got = kernel.spread(x)
    assert got.sum() == pytest.approx(1, abs=1e-5)
    slack = 0.03 * expected.max() + 4 * np.sqrt(expected / size)
    assert (np.abs(got - expected) < slack).all()


def test_bins_of_unequal_widths_hold_the_same_content() -> None:
    """A broad line in bins that grow: what a blur makes of it is the broader line, in closed form."""
    edges = np.concatenate([np.arange(-30.0, 0.0, 0.5), np.arange(0.0, 30.5, 1.0)])
    resolution = local_blur([edges], equal_everywhere(np.array([[4.0]]))).on()

    def line(sigma: float) -> Floats:
        from scipy.stats import norm

        return np.diff(norm.cdf(edges / sigma)) / np.diff(edges)

    np.testing.assert_allclose(resolution.blur(line(5.0)), line(29.0**0.5), atol=0.01 * line(5.0).max())


def test_a_blur_over_too_many_bins_is_refused() -> None:
    edges = [np.linspace(0, 1, 401)] * 3
    with pytest.raises(Exp2SimError, match="Make the bins wider"):
        local_blur(edges, equal_everywhere(np.eye(3)))
