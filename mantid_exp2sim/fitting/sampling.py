"""The posterior around the modes: importance sampling from Student's t distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from mantid_exp2sim.fitting.search import Mode, Objective, Tell
from mantid_exp2sim.histogram import Floats

FREEDOM = 6
"""Degrees of freedom of Student's t."""

ENOUGH = 200
"""Draws of a Gaussian, of 4000, that show its spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Weighted draws of the free parameters.

    ``samples`` (n, p), ``weights`` (n,) that sum to 1, ``log_evidence`` of the model, ``effective`` number of
    independent draws that these are worth (None: the Gaussian about the best mode).
    """

    samples: Floats
    weights: Floats
    log_evidence: float
    effective: float | None

    def mean(self) -> Floats:
        """Return the means (p,)."""
        return np.asarray(self.weights @ self.samples)

    def covariance(self) -> Floats:
        """Return the covariance (p, p)."""
        off = self.samples - self.mean()
        return np.asarray((off.T * self.weights) @ off)

    def interval(self, share: float) -> Floats:
        """Return the central interval (p, 2) that holds a share of the posterior."""
        out = np.empty((self.samples.shape[1], 2))
        for number, values in enumerate(self.samples.T):
            order = np.argsort(values)
            below = np.cumsum(self.weights[order]) - 0.5 * self.weights[order]
            out[number] = np.interp([0.5 - share / 2, 0.5 + share / 2], below, values[order])
        return out


def sample(
    objective: Objective, modes: tuple[Mode, ...], widening: float, tell: Tell, *, disagreement: float = 1.0
) -> Posterior:
    """Draw from the modes, and weigh by the posterior; its loss is divided by ``widening`` (1 or more).

    The evidence is that of N bins with variances ``widening`` times as large: the likelihood of wider
    Gaussians is lower by N/2 ln ``widening``. So a model gains nothing by explaining less. A larger
    ``disagreement`` of the panels widens the posterior, but is no evidence: that is then Laplace's. Where
    too few draws have any weight (constants at the edge of stability), their spread says nothing: the
    posterior is then the Gaussian about the best mode.
    """
    options = objective.options
    rng = np.random.default_rng(options.seed)
    wider = 0.5 * np.log(widening) * sum(bins.index.size for bins in objective.bins)
    heights = np.array([_laplace(mode, widening) for mode in modes])
    shares = np.exp(heights - logsumexp(heights))
    laplace = float(logsumexp(heights) - wider)
    evidence_width, widening = widening, max(widening, disagreement)
    if options.samples == 0:
        return _gaussian(objective, modes[0], widening, laplace, rng)
    proposals = [
        multivariate_t(mode.free, mode.covariance * widening, df=FREEDOM, allow_singular=True)
        for mode in modes
    ]
    counts = np.maximum(np.round(shares * options.samples).astype(int), 1)
    draws = np.concatenate(
        [
            np.atleast_2d(p.rvs(n, random_state=rng)).reshape(n, -1)
            for p, n in zip(proposals, counts, strict=True)
        ]
    )
    log_proposal = logsumexp(
        [p.logpdf(draws) + np.log(n / counts.sum()) for p, n in zip(proposals, counts, strict=True)], axis=0
    )
    losses = np.empty(len(draws))
    for number, draw in enumerate(draws):
        tell(f"{objective.model.name}: sample {number + 1} of {len(draws)}")
        losses[number] = objective.loss(draw, options.grid)
    best = min(losses.min(), modes[0].loss)
    log_weights = -(losses - best) / widening - log_proposal
    total = logsumexp(log_weights)
    weights = np.exp(log_weights - total) if np.isfinite(total) else np.ones(1)
    effective = float(1 / (weights**2).sum())
    if effective < 2 * (draws.shape[1] + 1):
        return _gaussian(objective, modes[0], widening, laplace, rng)
    sampled = float(total - np.log(len(draws)) - best / widening - wider)
    return Posterior(draws, weights, sampled if widening == evidence_width else laplace, effective)


def _laplace(mode: Mode, widening: float) -> float:
    """Logarithm of the integral of exp(-loss) about a mode, as if that were a Gaussian."""
    size = np.linalg.slogdet(2 * np.pi * widening * mode.covariance)[1]
    return float(-mode.loss / widening + 0.5 * size)


def _gaussian(
    objective: Objective, mode: Mode, widening: float, log_evidence: float, rng: np.random.Generator
) -> Posterior:
    draws = rng.multivariate_normal(mode.free, mode.covariance * widening, 4000, method="eigh")
    low, high = objective.model.bounds.T
    inside = draws[((draws >= low) & (draws <= high)).all(axis=1)]
    # a constant that the data say nothing about leaves few draws inside: its limits are then the bounds
    draws = inside if len(inside) >= ENOUGH else np.clip(draws, low, high)
    return Posterior(draws, np.full(len(draws), 1 / len(draws)), log_evidence, None)
