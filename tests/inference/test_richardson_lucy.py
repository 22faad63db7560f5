"""Richardson–Lucy with a known blur: closed forms, noise, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.inference.data_noise import noise_of
from mantid_exp2sim.inference.richardson_lucy import richardson_lucy
from mantid_exp2sim.simulation.local_blur import LocalBlur, local_blur

EDGES = np.linspace(-12, 12, 97)
RESOLUTION, LINE = 1.0, 0.8


def blur_of(edges: Floats, sigma: float, axes: int = 1) -> LocalBlur:
    return local_blur(
        [edges] * axes, lambda c: np.full((*(x.size for x in c), 1, 1), sigma**2) * np.eye(axes)
    )


@pytest.fixture(scope="module")
def kernel() -> LocalBlur:
    return blur_of(EDGES, RESOLUTION)


@pytest.fixture(scope="module")
def plane() -> LocalBlur:
    return blur_of(np.linspace(-10, 10, 41), 0.8, axes=2)


def line(sigma: float, area: float = 100.0, place: float = 0.0) -> Floats:
    return area * np.diff(norm.cdf((EDGES - place) / sigma)) / np.diff(EDGES)


def width(values: Floats) -> float:
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    mean = (values * centres).sum() / values.sum()
    return float(np.sqrt((values * (centres - mean) ** 2).sum() / values.sum()))


def spots(shape: tuple[int, ...]) -> Floats:
    truth = np.full(shape, 0.5)
    truth[12:14, 10:30], truth[20:32, 22:24] = 40, 25
    return truth


def test_a_gaussian_gets_its_own_width_back(kernel: LocalBlur) -> None:
    """Widths add in squares: a line of 0.8 seen at 1.0 is 1.28 wide, and should be 0.8 again."""
    seen = line(np.hypot(RESOLUTION, LINE))
    outcome = richardson_lucy(kernel.on(), seen, np.zeros_like(seen))
    assert outcome.stop == "explained"
    assert width(seen) == pytest.approx(1.28, abs=0.02)
    assert width(outcome.intensity) == pytest.approx(LINE, rel=0.05)
    assert outcome.intensity.sum() == pytest.approx(seen.sum(), rel=1e-3)
    assert outcome.unexplained < 0.02


def test_it_stops_earlier_in_noise_and_still_gains(plane: LocalBlur) -> None:
    blur, rng = plane.on(), np.random.default_rng(0)
    truth = spots(plane.shape)
    clean = blur.blur(truth)
    iterations = []
    for variance in (0.01 * clean, 3.0 * clean):
        seen = clean + np.sqrt(variance) * rng.normal(size=clean.shape)
        outcome = richardson_lucy(blur, seen, variance)
        iterations.append(outcome.iterations)
        before, after = (np.linalg.norm(values - truth) for values in (seen, outcome.intensity))
        assert after < before
        assert outcome.intensity.sum() == pytest.approx(seen.sum(), rel=0.02)
        assert (outcome.intensity >= 0).all()
    assert iterations[1] < iterations[0]


def test_error_bars_are_the_scatter_of_repeated_measurements(plane: LocalBlur) -> None:
    """Of 40 independent ones; each takes its error bars from its own replicas."""
    blur, rng = plane.on(), np.random.default_rng(1)
    clean = blur.blur(spots(plane.shape)).astype(float)
    variance = 0.5 * clean
    outcomes = [
        richardson_lucy(
            blur, clean + np.sqrt(variance) * rng.normal(size=clean.shape), variance, replicas=8, seed=n
        )
        for n in range(40)
    ]
    scatter = np.var([outcome.intensity for outcome in outcomes], axis=0, ddof=1)
    told = np.mean([outcome.variance for outcome in outcomes], axis=0)
    strong = clean > 5
    assert told[strong].mean() == pytest.approx(scatter[strong].mean(), rel=0.25)


def test_replicas_are_those_of_the_seed(plane: LocalBlur) -> None:
    seen = plane.on().blur(spots(plane.shape))
    runs = [richardson_lucy(plane.on(), seen, seen, replicas=4, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].variance, runs[1].variance)
    assert not np.array_equal(runs[0].variance, runs[2].variance)


@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.2, 0.7]))
def test_a_constant_stays_and_what_is_masked_is_not_read(plane: LocalBlur, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random(plane.shape) < share
    seen = np.where(mask, np.nan, 7.0)
    outcome = richardson_lucy(plane.on(mask), np.nan_to_num(seen, nan=1e9), np.zeros(plane.shape))
    np.testing.assert_allclose(outcome.intensity[~mask], 7.0, rtol=1e-3)
    assert (outcome.intensity[mask] == 0).all()


def test_a_wrong_resolution_is_not_explained() -> None:
    """A line narrower than the assumed resolution cannot have been seen with it."""
    seen = line(0.3)
    outcome = richardson_lucy(blur_of(EDGES, 1.5).on(), seen, np.zeros_like(seen))
    assert outcome.unexplained > 0.15


def test_data_of_nothing_stay_nothing(kernel: LocalBlur) -> None:
    for seen in (np.zeros(96), -line(1.0)):
        outcome = richardson_lucy(kernel.on(), seen, np.ones(96), replicas=2)
        assert np.isfinite(outcome.intensity).all()
        assert np.abs(outcome.intensity).max() < 1


def measured(values: Floats, edges: Floats, variance: Floats | None = None) -> Histogram:
    axes = [Axis(name, edges, unit="r.l.u.", frame="HKL") for name in ("[H,0,0]", "[0,K,0]")]
    return Histogram.from_arrays(values, axes, variance)


@pytest.mark.parametrize("factor", [0.1, 1.0])
@pytest.mark.parametrize(
    ("edges", "source"),
    [(np.linspace(-10, 10, 41), "inversion pairs"), (np.linspace(0, 20, 41), "local differences")],
)
def test_the_noise_of_data_without_errors_is_estimated(
    plane: LocalBlur, factor: float, edges: Floats, source: str
) -> None:
    """A smooth ring is compared with its neighbours, a rough picture that is symmetric with itself at −Q."""
    rng, centres = np.random.default_rng(3), np.linspace(-9.75, 9.75, 40)
    ring = 30 * np.exp(-0.5 * ((np.hypot(*np.meshgrid(centres, centres)) - 6) / 1.5) ** 2) + 1
    rough = rng.gamma(1.0, 5.0, ring.shape)
    smooth = plane.on().blur(ring).astype(float)
    clean = smooth if source == "local differences" else rough + rough[::-1, ::-1]
    seen = clean + np.sqrt(factor * clean) * rng.normal(size=clean.shape)
    variance, told = noise_of(measured(seen, edges), plane.on())
    assert told == source
    assert variance.sum() == pytest.approx((factor * clean).sum(), rel=0.35)


def test_errors_of_the_data_are_taken_and_zeros_among_them_are_not(plane: LocalBlur) -> None:
    values = np.full(plane.shape, 4.0)
    errors = np.where(np.indices(plane.shape)[0] == 3, 0.0, 2.0)
    variance, told = noise_of(measured(values, np.linspace(0, 20, 41), errors), plane.on())
    assert told == "errors of the data"
    np.testing.assert_allclose(variance, 2.0)  # as many counts, the same error
    values[3] = 0.0  # no counts
    variance, _ = noise_of(measured(values, np.linspace(0, 20, 41), errors), plane.on())
    assert (variance > 0).all()
    assert (variance[5] == 2.0).all()
