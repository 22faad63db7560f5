"""Describe a direction's training set, and score how far spectra are from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.domain.features import Features
from mantid_exp2sim.domain.transport import sinkhorn_divergence
from mantid_exp2sim.histogram import Floats

TOP = 8
"""Leading directions of the feature moments that are stored one by one."""
RESIDUAL, AXIS, FAR, LEVEL = range(TOP, TOP + 4)
"""Further columns of the parts of a volume: residual, place on the axis that parts the kinds of data,
logarithms of the transport distance and of the intensity."""
COLUMNS = LEVEL + 1
FLOOR = 0.05
CLIP = 10.0
"""Standardised features that foretell an error are cut here."""
LEAST_ERROR, MOST_ERROR = 0.01, 3.0
"""No error below or above is foretold."""
ErrorFit = tuple[Floats, Floats]
"""`Reference.error` and `Reference.error_level`."""
LEAST = 1e-9
"""Smallest in-domain spread of each number."""
NUMBERS = ("features", "kind", "kind", "features", "features", "sharing")
"""What each of the numbers looks at that make up a score."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a direction's training set looks like; G incident energies, D moments, R directions, J = `TOP`.

    ``energies`` (G,) meV; ``center``, ``scale`` (G, D); ``basis`` (D, R) shared by all; ``white`` (G, R, R)
    from there to independent directions of unit variance, the widest first; ``axis`` (G, R) that parts the
    kinds of data; ``bend`` (G, 3) the residual expected at a given reach, ``bend_limit`` (G,); ``joint``
    (G·J, G·J) covariance of the leading directions over all energies; ``point_center`` (C,), ``point_basis``
    (C, K) whiten points; ``points``, ``held`` (G, P, K) of the training and of held-out spectra; ``error``
    (G, Q) weights of the standardised moments in the logarithm of the error, which ``error_level`` (G,) adds
    to; Q = D, or 0 where it is not known; ``fit`` and ``calibration`` (n, G, Y): parts of other
    training spectra, which set the scales, and of held-out ones, which the p-value ranks among. Y is
    `COLUMNS`.
    """

    energies: Floats
    center: Floats
    scale: Floats
    basis: Floats
    white: Floats
    axis: Floats
    bend: Floats
    bend_limit: Floats
    joint: Floats
    point_center: Floats
    point_basis: Floats
    points: Floats
    held: Floats
    error: Floats
    error_level: Floats
    fit: Floats
    calibration: Floats

    def group(self, energies: npt.NDArray[Any]) -> list[int]:
        """Return the number of the nearest incident energy (in its logarithm) of each."""
        distances = np.abs(np.log(np.asarray(energies)[:, None] / self.energies[None]))
        return [int(index) for index in distances.argmin(axis=1)]

    def whiten(self, points: Floats) -> Floats:
        """Bring feature points (…, C) to (…, K) of unit variance over the training set."""
        whitened: Floats = (points - self.point_center) @ self.point_basis
        return whitened

    def reduce(self, moments: Floats, groups: Sequence[int]) -> tuple[Floats, Floats]:
        """Bring moments (V, D) to independent directions (V, R) and the place on the axis (V,)."""
        g = list(groups)
        reduced = ((moments - self.center[g]) / self.scale[g]) @ self.basis
        return np.einsum("vi,vij->vj", reduced, self.white[g]), (reduced * self.axis[g]).sum(axis=1)

    def distances(self, points: Floats, groups: Sequence[int], regularisation: float) -> Floats:
        """Return the debiased transport distance (V,) of points (V, N, C) to as many of the training set."""
        count = points.shape[1]
        return sinkhorn_divergence(
            self.whiten(points), self.points[list(groups), :count], regularisation=regularisation
        )

    def errors(self, moments: Floats, groups: Sequence[int]) -> Floats | None:
        """Foretell the relative L2 error (V,) by volumes with moments (V, D).

        That of several volumes together is the geometric mean.
        """
        if not self.error.shape[-1]:
            return None
        g = list(groups)
        foretold = self.error_level[g] + (self.standardised(moments, g) * self.error[g]).sum(axis=-1)
        return np.asarray(np.exp(np.clip(foretold, np.log(LEAST_ERROR), np.log(MOST_ERROR))))

    def standardised(self, moments: Floats, groups: Sequence[int]) -> Floats:
        """Return moments (…, V, D) in units of their spread over the training set."""
        g = list(groups)
        return np.asarray(np.clip((moments - self.center[g]) / self.scale[g], -CLIP, CLIP))

    def parts(self, features: Features, groups: Sequence[int], regularisation: float) -> Floats:
        """Return what the score is made of (V, Y)."""
        g = list(groups)
        y, place = self.reduce(features.moments, g)
        reach, residual = spread(y)
        bent = np.minimum(reach, self.bend_limit[g])
        residual = residual - (self.bend[g] * np.stack([np.ones_like(bent), bent, bent**2], axis=1)).sum(
            axis=1
        )
        far = np.log(np.maximum(self.distances(features.points, g, regularisation), 1e-6))
        return np.column_stack([3 * np.arcsinh(y[:, :TOP] / 3), residual, place, far, features.levels])

    def scores(self, parts: Floats, groups: Sequence[int]) -> Floats:
        """Score spectra (n,) whose volumes at ``groups`` have ``parts`` (n, len(groups), Y)."""
        total: Floats = np.sqrt((self.tails(parts, groups) ** 2).sum(axis=1))
        return total

    def tails(self, parts: Floats, groups: Sequence[int]) -> Floats:
        """Return what the scores are made of, (n, 6): `NUMBERS`, 1 at the 95 % quantile of the domain."""
        g = list(groups)
        raw = self._raw(parts, g, self.fit[:, g])
        usual = self._raw(self.fit[:, g], g, self.fit[:, g])
        middle = np.median(usual, axis=0)
        width = np.maximum(np.quantile(usual, 0.95, axis=0) - middle, LEAST)
        tails: Floats = np.maximum((raw - middle) / width, 0.0)
        return tails

    def _raw(self, parts: Floats, groups: list[int], fit: Floats) -> Floats:
        """Return the numbers (n, 6) of spectra."""
        columns = np.concatenate([np.arange(TOP) + TOP * group for group in groups])
        covariance = self.joint[np.ix_(columns, columns)]
        place = parts[..., AXIS]
        middle = np.median(fit[..., AXIS], axis=0)
        width = np.maximum(fit[..., AXIS].std(axis=0), 1e-9)
        numbers = [
            parts[..., RESIDUAL].mean(axis=1),
            place.mean(axis=1),
            np.abs((place - middle) / width).max(axis=1),
            mahalanobis(parts[..., :TOP].reshape(len(parts), -1), covariance),
            parts[..., FAR].mean(axis=1),
            sharing(parts[..., LEVEL], fit[..., LEVEL]),
        ]
        return np.column_stack(numbers)


def mahalanobis(x: Floats, covariance: Floats) -> Floats:
    """Return the logarithm (n,) of the squared Mahalanobis distance per dimension of rows (n, d)."""
    squared = (x * np.linalg.solve(covariance, x.T).T).sum(axis=1) / x.shape[1]
    return np.asarray(np.log(np.maximum(squared, 1e-12)))


def together(errors: Floats) -> Floats:
    """Join the errors (…, g) that volumes foretell to those of spectra (…,): their geometric mean.

    >>> float(together(np.array([0.1, 0.4])).round(6))
    0.2
    """
    return np.asarray(np.exp(np.log(errors).mean(axis=-1)))


def sharing(levels: Floats, usual: Floats) -> Floats:
    """Measure how unusually levels (n, g) of incident energies are shared, given usual ones (m, g).

    The levels are taken relative to their mean: the scale of the intensities is not looked at.
    """
    levels, usual = (x - x.mean(axis=1, keepdims=True) for x in (levels, usual))
    middle, width = usual.mean(axis=0), np.maximum(usual.std(axis=0), 1e-6)
    levels, usual = (levels - middle) / width, (usual - middle) / width
    return mahalanobis(levels, usual.T @ usual / len(usual) + 0.01 * np.eye(usual.shape[1]))


def spread(y: Floats) -> tuple[Floats, Floats]:
    """Return the logarithms of reach (leading directions) and residual (others) of whitened (V, R)."""
    reach = np.log((y[:, :TOP] ** 2).mean(axis=1) + FLOOR)
    others = y[:, TOP:] if y.shape[1] > TOP else y
    return reach, np.log((others**2).mean(axis=1) + 1e-12)


def extreme(scores: Floats) -> float:
    """Return the 99 % quantile of in-domain scores: the limit is a multiple of it.

    >>> extreme(np.arange(101.0))
    99.0
    """
    return float(np.quantile(scores, 0.99))


def conformal_p(score: float, calibration: Floats, uniform: float) -> float:
    """Rank a score among n in-domain scores, ties broken by a uniform number: a p-value.

    >>> round(conformal_p(2.5, np.array([1.0, 2.0, 3.0]), 0.5), 3)
    0.375
    """
    above, same = int((calibration > score).sum()), int((calibration == score).sum())
    return float((above + uniform * (same + 1)) / (len(calibration) + 1))
