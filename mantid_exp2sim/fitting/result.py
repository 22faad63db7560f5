"""What a fit says: constants with errors, how the models compare, and what none of them explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mantid_exp2sim.fitting.data import REASONS
from mantid_exp2sim.fitting.sampling import Posterior
from mantid_exp2sim.histogram import Floats, Histogram

LEAST_P = 1e-3
"""p-value below which a model leaves more than the noise."""
LEAST_EXPLAINED = 0.5
"""Share of the structure that a model has to explain where it leaves more than the noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A linear term of one incident energy: mean and standard deviation."""

    incident_energy: float
    name: str
    mean: float
    sd: float


@dataclass(frozen=True, slots=True, eq=False)
class ModelFit:
    """A model's fit.

    ``names`` of the free parameters, constants in meV first; ``modes`` the places of high posterior, best
    first, each with its loss above the best; ``widening`` the factor on all variances because of what the
    model leaves unexplained (1: nothing). ``p_value`` is the probability of a χ² as large or larger from
    noise alone; ``explained`` the share of the χ² of a loose background alone, above that of noise, which
    the model takes away. ``panels`` has rows (incident energy, first and last energy, bins, χ², p-value).
    ``fitted``, ``background`` and ``residual`` (in errors) are like the measured histograms. ``grid_errors``:
    by how many of its errors a grid twice as fine would move each parameter, to first order.
    """

    name: str
    names: tuple[str, ...]
    posterior: Posterior
    modes: tuple[tuple[Mapping[str, float], float], ...]
    permutations: tuple[str, ...]
    widening: float
    chi2_reduced: float
    p_value: float
    explained: float
    panels: Floats
    terms: tuple[Term, ...]
    fitted: tuple[Histogram, ...]
    background: tuple[Histogram, ...]
    residual: tuple[Histogram, ...]
    grid_errors: Mapping[str, float]

    @property
    def mean(self) -> dict[str, float]:
        """Posterior means by name."""
        return dict(zip(self.names, self.posterior.mean().tolist(), strict=True))

    @property
    def sd(self) -> dict[str, float]:
        """Posterior standard deviations by name."""
        return dict(zip(self.names, np.sqrt(np.diag(self.posterior.covariance())).tolist(), strict=True))

    @property
    def covariance(self) -> Floats:
        """Posterior covariance (p, p)."""
        return self.posterior.covariance()

    @property
    def correlation(self) -> Floats:
        """Posterior correlations (p, p)."""
        covariance = self.posterior.covariance()
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        return np.asarray(covariance / np.outer(sd, sd))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays of bins and draws, as JSON can hold it."""
        low, wide = self.posterior.interval(0.6827), self.posterior.interval(0.9545)
        mean, sd = self.mean, self.sd
        parameters = {
            name: {
                "mean": mean[name],
                "sd": sd[name],
                "interval_68": low[i].tolist(),
                "interval_95": wide[i].tolist(),
            }
            for i, name in enumerate(self.names)
        }
        columns = ("incident_energy", "energy_from", "energy_to", "bins", "chi2", "p_value")
        return {
            "parameters": parameters,
            "correlation": self.correlation.tolist(),
            "chi2_reduced": self.chi2_reduced,
            "widening": self.widening,
            "log_evidence": self.posterior.log_evidence,
            "effective_samples": self.posterior.effective,
            "p_value": self.p_value,
            "explained": self.explained,
            "panels": [dict(zip(columns, row, strict=True)) for row in self.panels.tolist()],
            "modes": [{"parameters": dict(values), "loss": loss} for values, loss in self.modes],
            "permutations": list(self.permutations),
            "grid_errors": dict(self.grid_errors),
            "terms": [
                {"incident_energy": t.incident_energy, "name": t.name, "mean": t.mean, "sd": t.sd}
                for t in self.terms
            ],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fits of one or several models to the same bins.

    ``models`` by name; ``best`` the one of the highest evidence, None where no model explains the data
    (``neither``: p-value below 0.001, and less than half of the structure explained);
    ``bad_bins`` like the measured histograms: numbers of `mantid_exp2sim.fitting.data.REASONS`; ``notes``
    what was assumed and set aside, in sentences.
    """

    models: Mapping[str, ModelFit]
    best: str | None
    neither: bool
    bad_bins: tuple[Histogram, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def leading(self) -> ModelFit:
        """The model of the highest evidence, whether it explains the data or not."""
        return max(self.models.values(), key=lambda model: model.posterior.log_evidence)

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each model among these, if all are as likely before."""
        logs = np.array([model.posterior.log_evidence for model in self.models.values()])
        shares = np.exp(logs - logs.max())
        return dict(zip(self.models, (shares / shares.sum()).tolist(), strict=True))

    @property
    def sentence(self) -> str:
        """One sentence to quote."""
        return _sentence(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays of bins and draws, as JSON can hold it."""
        return {
            "best": self.best,
            "neither": self.neither,
            "sentence": self.sentence,
            "probabilities": self.probabilities,
            "models": {name: model.to_dict() for name, model in self.models.items()},
            "bins": {reason: self._count(number) for number, reason in enumerate(REASONS)},
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def _count(self, reason: int) -> int:
        if reason == 1:
            return sum(int(histogram.mask.sum()) for histogram in self.bad_bins)
        return sum(int((histogram.intensity == reason).sum()) for histogram in self.bad_bins)


def number_with_error(value: float, error: float) -> str:
    """Write a number and its error, two digits of the error.

    >>> number_with_error(-11.7403, 0.0123)
    '-11.740 ± 0.012'
    """
    if not (np.isfinite(error) and error > 0):
        return f"{value:.4g}"
    digits = max(1 - int(np.floor(np.log10(error))), 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _sentence(fit: Fit) -> str:
    model = fit.leading
    mean, sd = model.mean, model.sd
    constants = ", ".join(f"{name} = {number_with_error(mean[name], sd[name])}" for name in model.names)
    share = f"{model.explained:.1%} of the structure"
    quality = f"reduced χ² {model.chi2_reduced:.3f}, p = {model.p_value:.2g}"
    others = [other for other in fit.models.values() if other is not model]
    weighed = ""
    if others:
        rival = max(others, key=lambda other: other.posterior.log_evidence)
        ratio = model.posterior.log_evidence - rival.posterior.log_evidence
        weighed = f"; ln evidence {ratio:.1f} above {rival.name}"
    wider = f"; errors widened by √{model.widening:.2f}" if model.widening > 1 else ""
    says = f"{constants} (68 % errors){weighed}{wider}"
    if fit.neither:
        return (
            f"No model explains the data: the closest, {model.name}, takes {share} ({quality}), with {says}."
        )
    if model.p_value < LEAST_P:
        return f"{model.name} explains {share}, not all of it ({quality}), with {says}."
    return f"{model.name} explains the data to their noise ({quality}) with {says}."
