"""How likely bins are: Gaussian with outliers, cut at a limit, or Poisson; and the terms that are linear.

The loss of a bin is -log likelihood, less its least value. Outliers are a mixture: a small share of the bins
has errors ten times as large. A bin that was cut at 0 is known to be at most 0, a clipped one at least the
limit. The linear terms (scale, background, phonons) are solved for each incident energy by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtri_exp

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.data import Part
from mantid_exp2sim.fitting.options import FitOptions
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.constants import BOLTZMANN

WIDE = 10.0
"""Errors of an outlier over those of other bins."""
RINGS = {"flat": 1, "smooth": 4, "rings": 8}
"""Places of |Q| of a background."""
LEAST_MEAN = 0.05
"""Counts expected in a bin below which no logarithm is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Loss of bins at a predicted intensity, and its first two derivatives (the second at least 0), (N,)."""

    value: Floats
    slope: Floats
    curvature: Floats


class Bins:
    """The bins of a part that are fitted, as flat arrays (N,), and their loss."""

    def __init__(self, part: Part, options: FitOptions) -> None:
        used = part.used
        self.index = np.flatnonzero(used)
        self.intensity = part.intensity[used]
        self.sigma = part.sigma[used]
        self.side = part.high[used].astype(float) - part.low[used]
        self.share = options.outliers
        self.poisson = options.errors == "poisson"
        if self.poisson and (self.intensity < 0).any():
            raise Exp2SimError(
                "Counts cannot be negative.", fix="Take errors='gaussian' for data that are no counts."
            )
        self.columns = linear_terms(part, options)[self.index]
        self.tilt = tilt(part).ravel()[self.index]

    def loss(self, predicted: Floats) -> Loss:
        """Compute the loss at predicted intensities (N,)."""
        if self.poisson:
            return _poisson(self.intensity, predicted)
        distance = (predicted - self.intensity) / self.sigma
        gauss = _mixture(distance, self.share)
        if not self.side.any():
            return Loss(gauss.value, gauss.slope / self.sigma, gauss.curvature / self.sigma**2)
        limit = _limit(distance * self.side)
        cut = self.side != 0
        value = np.where(cut, limit.value, gauss.value)
        slope = np.where(cut, limit.slope * self.side, gauss.slope) / self.sigma
        return Loss(value, slope, np.where(cut, limit.curvature, gauss.curvature) / self.sigma**2)

    def squares(self, predicted: Floats) -> Floats:
        """Compute squared residuals (N,); those of outliers count as the mixture counts them."""
        squared = self.residuals(predicted) ** 2
        return squared if self.poisson else 2 * _mixture(np.sqrt(squared), self.share).value

    def residuals(self, predicted: Floats) -> Floats:
        """Compute residuals in errors (N,), standard normal where the model and the errors are right.

        For a bin that was cut, one is drawn from the part of the normal distribution that is cut.
        """
        if self.poisson:
            value = _poisson(self.intensity, predicted).value
            return np.asarray(np.sign(self.intensity - predicted) * np.sqrt(2 * np.maximum(value, 0)))
        distance = (self.intensity - predicted) / self.sigma
        share = np.random.default_rng(0).random(distance.size)
        drawn = ndtri_exp(np.log(share) + log_ndtr(-self.side * distance)) * -self.side
        return np.asarray(np.where(self.side == 0, distance, drawn))


def _mixture(distance: Floats, share: float) -> Loss:
    squared = distance**2
    if share == 0:
        return Loss(0.5 * squared, distance, np.ones_like(distance))
    ratio = share / (1 - share) / WIDE
    wide = ratio * np.exp(0.5 * np.minimum(squared * (1 - 1 / WIDE**2), 1400.0))
    inside = 1 / (1 + wide)
    weight = inside + (1 - inside) / WIDE**2
    value = 0.5 * squared - np.log1p(wide) + np.log1p(ratio)
    return Loss(value, weight * distance, weight)


def _limit(distance: Floats) -> Loss:
    """-log Φ(distance): a bin known to be at or above its value, ``distance`` the prediction's above it."""
    value = -log_ndtr(distance)
    hazard = np.sqrt(2 / np.pi) / erfcx(-distance / np.sqrt(2))
    return Loss(value, -hazard, np.maximum(hazard * (hazard + distance), 0.0))


def _poisson(counts: Floats, predicted: Floats) -> Loss:
    """Poisson loss; below `LEAST_MEAN` it goes on as a parabola, so that a prediction below 0 is no end."""
    mean = np.maximum(predicted, LEAST_MEAN)
    beyond = np.minimum(predicted - LEAST_MEAN, 0.0)
    steep = np.maximum(counts, 1.0) / LEAST_MEAN**2
    log = np.where(counts > 0, counts * np.log(np.maximum(counts, 1e-300) / mean), 0.0)
    slope = 1 - counts / mean
    value = mean - counts + log + (slope + 0.5 * steep * beyond) * beyond
    return Loss(value, slope + steep * beyond, np.where(beyond < 0, steep, 1 / np.maximum(mean, 0.5)))


def tilt(part: Part) -> Floats:
    """Return the energy transfer over Ei, above its mean, in every bin (nh, nk, nE)."""
    share = part.binning.centres[2] / part.binning.incident_energy
    return np.broadcast_to(share - share.mean(), part.intensity.shape)


def linear_terms(part: Part, options: FitOptions) -> Floats:
    """Make the columns (bins, n) of background and phonons."""
    h, k, energy = part.binning.centres
    columns = []
    if options.background != "none":
        radius = np.hypot(h[:, None], k)[..., None]
        across = _hats(radius / max(radius.max(), 1e-9), RINGS[options.background])
        along = _hats(np.linspace(0, 1, energy.size), min(energy.size, 10))
        columns += [(ring * line).ravel() for line in along for ring in across]
    if options.phonons:
        kt = BOLTZMANN * options.temperature
        occupation = 1 / -np.expm1(-np.maximum(energy, 0.05) / kt)
        q2 = h[:, None, None] ** 2 + k[None, :, None] ** 2 + 0 * energy
        columns.append((q2 * occupation / (q2 * occupation).max()).ravel())
    return np.column_stack(columns) if columns else np.zeros((part.intensity.size, 0))


def _hats(place: Floats, number: int) -> list[Floats]:
    """Functions of ``place`` in [0, 1] that are 1 at one of the knots and 0 at the others."""
    knots = np.linspace(0, 1, number)
    return [np.interp(place, knots, height) for height in np.eye(number)]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """The linear terms of one part at given spectra.

    ``coefficients`` (2 + n,): the scale and its slope, then background and phonons; ``design`` (N, 2 + n);
    ``loss`` of the bins at the prediction; ``normal`` (m, m) second derivatives of the free ones, ``free``
    which they are; ``scale`` (N,) the factor on the model's spectrum.
    """

    coefficients: Floats
    design: Floats
    free: Booleans
    loss: Loss
    normal: Floats
    prior: Floats
    scale: Floats

    @property
    def total(self) -> float:
        """Loss of the bins with the prior of the terms, the terms integrated over."""
        size = np.linalg.slogdet(self.normal)[1] if self.normal.size else 0.0
        weak = 0.5 * float(self.prior @ self.coefficients**2)
        return float(self.loss.value.sum()) + weak + 0.5 * size

    def beside(self, columns: Floats) -> Floats:
        """Take out of columns (N, p) what the linear terms can follow."""
        design = self.design[:, self.free]
        if not design.shape[1]:
            return columns
        weighed = design * self.loss.curvature[:, None]
        return np.asarray(columns - design @ np.linalg.solve(self.normal, weighed.T @ columns))


def solve_linear(bins: Bins, spectrum: Floats, options: FitOptions, start: Floats | None = None) -> Linear:
    """Solve the linear terms of a part at the model's ``spectrum`` (N,) of its bins.

    Their prior is a wide Gaussian: ten times the spread of the data.
    """
    design = np.column_stack([spectrum, spectrum * bins.tilt, bins.columns])
    spread = 10 * float(np.sqrt(np.mean(bins.intensity**2))) or 1.0
    strength = np.full(design.shape[1], spread**-2)
    free: Booleans = np.asarray(design.any(axis=0))
    free[:2] &= options.scale != "fixed", options.scale == "sloped"
    strength[:2] = np.mean(spectrum**2) / spread**2 * free[:2]
    coefficients = _least_squares(bins, design, free, strength) if start is None else start.copy()
    loss = bins.loss(design @ coefficients)
    value = float(loss.value.sum() + 0.5 * strength @ coefficients**2)
    for _ in range(12):
        normal = (design.T * loss.curvature) @ design + np.diag(strength)
        gradient = design.T @ loss.slope + strength * coefficients
        if not free.any():
            break
        step = np.zeros_like(coefficients)
        step[free] = np.linalg.lstsq(normal[np.ix_(free, free)], -gradient[free], rcond=None)[0]
        promise = -float(gradient @ step)
        coefficients, loss, value, length = _search(bins, design, strength, coefficients, step, loss, value)
        if promise < 1e-3 or length == 0:
            break
    normal = (design.T * loss.curvature) @ design + np.diag(strength)
    scale = coefficients[0] + coefficients[1] * bins.tilt
    return Linear(coefficients, design, free, loss, normal[np.ix_(free, free)], strength, scale)


def _least_squares(bins: Bins, design: Floats, free: Booleans, strength: Floats) -> Floats:
    """Coefficients as if all bins were Gaussian; a scale that is not free is 1, its slope 0."""
    coefficients = np.eye(design.shape[1])[0]
    weighed = design[:, free] / bins.sigma[:, None] ** 2
    target = bins.intensity - design[:, ~free] @ coefficients[~free]
    normal = weighed.T @ design[:, free] + np.diag(strength[free])
    coefficients[free] = np.linalg.lstsq(normal, weighed.T @ target, rcond=None)[0]
    return np.asarray(coefficients)


def _search(
    bins: Bins, design: Floats, strength: Floats, start: Floats, step: Floats, loss: Loss, value: float
) -> tuple[Floats, Loss, float, float]:
    """The longest of the steps 1, ½, ¼ … that lessens the loss."""
    for length in (1.0, 0.5, 0.25, 0.1, 0.01):
        at = start + length * step
        trial = bins.loss(design @ at)
        total = float(trial.value.sum() + 0.5 * strength @ at**2)
        if total < value:
            return at, trial, total, length
    return start, loss, value, 0.0
