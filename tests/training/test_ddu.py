from __future__ import annotations

import numpy as np
import pytest
from mantid_exp2sim.training.ddu import fit_density, shrunk_covariance
from scipy.stats import multivariate_normal

from mantid_exp2sim.errors import Exp2SimError


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [60, 30])
    mixing = rng.normal(size=(2, 4, 4))
    return np.einsum("nij,nj->ni", mixing[labels], rng.normal(size=(90, 4))) + 5 * labels[:, None], labels


def test_log_density_is_that_of_the_mixture(samples):
    x, labels = samples
    density = fit_density(x, labels)
    parts = [x[labels == number] for number in (0, 1)]
    expected = sum(
        len(part) / 90 * multivariate_normal(part.mean(0), shrunk_covariance(part)).pdf(x) for part in parts
    )
    np.testing.assert_allclose(np.exp(density.log_density(x)), expected, rtol=1e-9)
    assert (density.log_joint(x).argmax(1) == labels).mean() > 0.9


def test_far_away_is_less_dense_than_any_sample_and_finite(samples):
    x, labels = samples
    density = fit_density(x, labels)
    far = density.log_density(np.full((1, 4), 1e4))
    assert np.isfinite(far).all()
    assert far.max() < density.log_density(x).min()


def test_shrinkage_is_the_published_one():
    # the definition of Ledoit and Wolf, sample by sample
    x = np.random.default_rng(2).normal(size=(12, 6)) * np.arange(1, 7)
    centred = x - x.mean(0)
    sample = centred.T @ centred / 12
    level = np.trace(sample) / 6
    scatter = np.mean([((np.outer(one, one) - sample) ** 2).sum() for one in centred]) / 12
    share = scatter / ((sample - level * np.eye(6)) ** 2).sum()
    assert 0.01 < share < 1
    expected = (1 - share) * sample + share * level * np.eye(6)
    np.testing.assert_allclose(shrunk_covariance(x), expected, rtol=1e-9, atol=1e-11)


def test_many_samples_are_hardly_shrunk():
    x = np.random.default_rng(3).normal(size=(20_000, 3)) * [1, 2, 3]
    np.testing.assert_allclose(shrunk_covariance(x), np.cov(x.T), atol=0.02)


def test_a_feature_that_never_varies_is_no_failure():
    x = np.zeros((10, 2))
    assert np.isfinite(fit_density(x, np.arange(10) % 2).log_density(x + 1)).all()


def test_a_class_of_one_is_refused():
    with pytest.raises(Exp2SimError, match="fewer than two"):
        fit_density(np.ones((4, 2)), np.array([0, 0, 0, 1]))
