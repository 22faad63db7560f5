"""DDU: how dense a classifier's training features are around those of an input.

Source: Mukhoti et al., "Deep deterministic uncertainty: a new simple baseline", CVPR 2023: one Gaussian per
class, fitted after the training. Here to compare with DUQ's largest correlation (benchmarks/uncertainty.py):
no classifier that is shipped uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ClassDensity:
    """A Gaussian per class: ``shares`` (C,), ``means`` (C, F), ``whitening`` (C, F, F), the inverse of the
    lower Cholesky factor of each covariance.
    """

    shares: Floats
    means: Floats
    whitening: Floats

    def log_density(self, features: NDArray[Any]) -> Floats:
        """log Σ_c share_c N(f; mean_c, covariance_c) of features (n, F): (n,)."""
        found: Floats = np.logaddexp.reduce(self.log_joint(features), axis=1)
        return found

    def log_joint(self, features: NDArray[Any]) -> Floats:
        """The same of each class by itself, (n, C): the largest is the class."""
        away = np.asarray(features, dtype=float)[:, None] - self.means
        square = (np.einsum("cij,ncj->nci", self.whitening, away) ** 2).sum(axis=2)
        volume = np.log(np.diagonal(self.whitening, axis1=1, axis2=2)).sum(axis=1)
        constant = 0.5 * self.means.shape[1] * np.log(2 * np.pi)
        found: Floats = np.log(self.shares) + volume - constant - 0.5 * square
        return found


def fit_density(features: NDArray[Any], labels: NDArray[Any]) -> ClassDensity:
    """A Gaussian for each class 0 … C − 1 of features (n, F) with labels (n,).

    Raises `Exp2SimError` where a class has fewer than two samples.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(400) % 2
    >>> density = fit_density(rng.normal(size=(400, 3)) + 9 * labels[:, None], labels)
    >>> near, between, far = density.log_density(np.array([[9.0] * 3, [4.5] * 3, [90.0] * 3]))
    >>> bool(near > between > far)
    True
    """
    x = np.asarray(features, dtype=float)
    parts = [x[labels == number] for number in range(int(np.max(labels, initial=0)) + 1)]
    if min(map(len, parts)) < 2:
        raise Exp2SimError(
            "A class has fewer than two samples.", why="Each class gets a covariance of its own."
        )
    factors = [np.linalg.cholesky(shrunk_covariance(part)) for part in parts]
    return ClassDensity(
        np.array([len(part) / len(x) for part in parts]),
        np.array([part.mean(axis=0) for part in parts]),
        np.linalg.inv(np.array(factors)),
    )


def shrunk_covariance(x: NDArray[Any]) -> Floats:
    """Covariance (F, F) of samples (n, F), drawn towards a multiple of the identity as far as n asks for.

    Source: Ledoit & Wolf, J. Multivar. Anal. 88 (2004) 365. Features that never vary get a small variance.

    >>> x = np.random.default_rng(0).normal(size=(5, 40))
    >>> bool(np.linalg.cond(np.cov(x.T)) > 1e12), bool(np.linalg.cond(shrunk_covariance(x)) < 100)
    (True, True)
    """
    n, size = x.shape
    centred = x - x.mean(axis=0)
    sample = centred.T @ centred / n
    level = np.trace(sample) / size
    spread = ((sample - level * np.eye(size)) ** 2).sum()
    # mean over samples of |x xᵀ − S|²
    scatter = ((centred**2).sum(axis=1) ** 2).mean() - (sample**2).sum()
    share = 1.0 if spread == 0 else min(max(scatter / n / spread, 1e-6), 1.0)
    found: Floats = (1 - share) * sample + (share * level + 1e-12) * np.eye(size)
    return found
