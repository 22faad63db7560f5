"""Measure what the domain check says of every control, and of held-out spectra of the domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.check import Verdict, judge
from mantid_exp2sim.domain.comparison import Comparison, section_of
from mantid_exp2sim.domain.likeness import Reference, conformal_p, extreme, together
from mantid_exp2sim.domain.reference import domain_card
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.model.card import DIRECTIONS
from mantid_exp2sim.training.calibration.domain_fit import parts_of, squared_errors
from mantid_exp2sim.training.calibration.spectra import (
    Cuts,
    Settings,
    as_in_training,
    cut_axis,
    cut_out,
    draw_pairs,
    encode_spectra,
    kinds_of,
    read_spectra,
)
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.synthetic.controls import controls
from mantid_exp2sim.training.trainers.scores import area_under_curve

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Direction
    from mantid_exp2sim.training.datasets.dataset import DataSet

CUTS_OF_VOLUME = 2
VERDICTS = ("trustworthy", "expert opinion", "untrustworthy")


def control_report(
    bundle: Bundle,
    dataset: DataSet,
    seed: int = 0,
    *,
    count: int = 100,
    direction: Direction = "deconvolve",
    cuts: bool = False,
) -> dict[str, Any]:
    """Compare every control set with held-out in-domain spectra: AUROC, p-values and verdicts.

    ``count`` spectra of the test split and as many of each control, seeded. With ``cuts`` single cuts of
    them at every incident energy, each by itself, of a model that takes such. JSON: ``in_domain`` with the
    Kolmogorov–Smirnov p of the uniformity of the p-values (of one cut of each spectrum, for several are not
    independent), ``controls`` by name (``auroc`` of the score, ``median_p``, share of each verdict), and
    ``error_correlation``, where pairs exist: Spearman's rank correlation of score and of expected error with
    the relative L2 of the translation to the true counterpart.

    Raises `Exp2SimError` where the model keeps no reference for this direction, or takes no cuts.
    """
    from scipy.stats import kstest

    card = domain_card(bundle)
    if direction not in card.directions:
        raise Exp2SimError(
            f"The model {bundle.card.name!r} keeps no reference for {direction}.",
            fix="Make one with `exp2sim domain MODEL DATASET`.",
        )
    settings = Settings.recorded(card, paired=count)
    rng = np.random.default_rng([seed, 7, DIRECTIONS.index(direction)])
    noisy = direction == "deconvolve"
    kind, other_kind = kinds_of(bundle.card, direction)
    judge = _Judge.of(bundle, direction, settings, cuts=cuts)
    clean = read_spectra(dataset, kind, "test", 2 * count, settings, rng)
    half = min(count, len(clean))
    sets = {
        name: judge.look(cut_out(spectra, judge.axis, CUTS_OF_VOLUME, rng))
        for name, spectra in _sets(dataset, clean, other_kind, half, settings, rng, noisy=noisy)
    }
    p_values = {name: judge.p_values(scores, rng) for name, scores in sets.items()}
    shares = {name: _shares(judge.verdicts(scores, p_values[name])) for name, scores in sets.items()}
    inside = sets["in domain"]
    uniform = kstest(p_values["in domain"][judge.apart(inside)], "uniform")
    return {
        "direction": direction,
        "cuts": cuts,
        "seed": seed,
        "spectra": {name: len(scores.score) for name, scores in sets.items()},
        "in_domain": {
            "ks_p": float(uniform.pvalue),
            "ks_statistic": float(uniform.statistic),
            "share_below_0.05": float((p_values["in domain"] < 0.05).mean()),
            "verdicts": shares["in domain"],
        },
        "controls": {
            name: {
                "auroc": area_under_curve(scores.score, inside.score),
                "median_p": float(np.median(p_values[name])),
                "share_below_0.05": float((p_values[name] < 0.05).mean()),
                "verdicts": shares[name],
            }
            for name, scores in sets.items()
            if name != "in domain"
        },
        "error_correlation": _error_correlation(judge, dataset, settings, rng),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Scores (n,) and ``which`` of the judge's calibrations they are compared with. ``errors`` that are
    expected of each volume, (spectra, G).
    """

    score: Floats
    errors: Floats
    which: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Scores as the check gives them: of whole spectra, or of cuts of one incident energy each."""

    comparison: Comparison
    settings: Settings
    axis: int | None
    groups: list[list[int]]
    inside: list[Floats]
    limits: list[float]

    @classmethod
    def of(cls, bundle: Bundle, direction: Direction, settings: Settings, *, cuts: bool) -> _Judge:
        card = domain_card(bundle)
        if cuts and card.cuts is None:
            raise Exp2SimError(
                f"The model {bundle.card.name!r} keeps no reference of single cuts.",
                fix="Use a model of one dimension, or compare whole spectra.",
            )
        comparison = Comparison.of(bundle, direction, cuts=cuts)
        axis = cut_axis(bundle.card.layout) if cuts else None
        reference, factor = comparison.reference, section_of(card, cuts=cuts).directions[direction].limit
        everything = list(range(reference.fit.shape[1]))
        groups = [[group] for group in everything] if cuts else [everything]
        inside = [reference.scores(reference.calibration[:, rows], rows) for rows in groups]
        limits = [factor * extreme(scores) for scores in inside]
        return cls(comparison, settings, axis, groups, inside, limits)

    def look(self, spectra: Volumes) -> _Scores:
        """Score spectra, or cuts: those of the first incident energy first."""
        reference = self.comparison.reference
        features = encode_spectra(self.comparison.bundle, self.comparison.direction, spectra, self.settings)
        parts, errors = parts_of(self.comparison, features), _expected(reference, features.moments)
        score = np.concatenate([reference.scores(parts[:, rows], rows) for rows in self.groups])
        return _Scores(score, errors, np.repeat(np.arange(len(self.groups)), len(parts)))

    def apart(self, scores: _Scores) -> NDArray[np.bool_]:
        """Select independent scores: all, or those of one cut of each spectrum."""
        count = len(scores.which) // len(self.groups)
        row = np.tile(np.arange(count), len(self.groups))
        if not self.comparison.cuts:
            return np.ones(len(row), dtype=bool)
        return np.asarray(
            (row % CUTS_OF_VOLUME == 0) & (scores.which == row // CUTS_OF_VOLUME % len(self.groups))
        )

    def p_values(self, scores: _Scores, rng: np.random.Generator) -> Floats:
        """Rank scores among those of the calibration."""
        return np.array(
            [
                conformal_p(float(value), self.inside[which], float(rng.random()))
                for value, which in zip(scores.score, scores.which, strict=True)
            ]
        )

    def verdicts(self, scores: _Scores, p_values: Floats) -> list[Verdict]:
        """Judge scores by the thresholds on the card."""
        card = domain_card(self.comparison.bundle)
        rows = zip(p_values, scores.score, scores.which, strict=True)
        return [judge(card, p, score, self.limits[which]) for p, score, which in rows]

    def expected(self, scores: _Scores) -> Floats:
        """Return the relative L2 that the features foretell, in the order of `look`."""
        return np.concatenate([together(scores.errors[:, rows]) for rows in self.groups])

    def errors(self, spectra: Volumes, truth: Volumes, cuts: Cuts | None) -> Floats:
        """Return the true relative L2 of translated spectra, in the order of `look`."""
        wrong, true = squared_errors(
            self.comparison.bundle, self.comparison.direction, spectra, truth, cuts=cuts
        )
        return np.concatenate(
            [
                np.sqrt(wrong[:, rows].sum(axis=1) / np.maximum(true[:, rows].sum(axis=1), 1e-30))
                for rows in self.groups
            ]
        )


def _expected(reference: Reference, moments: Floats) -> Floats:
    """Return the errors (n, G) that the features foretell, NaN where they are not known."""
    groups = list(range(moments.shape[1]))
    if reference.errors(moments[0], groups) is None:
        return np.full(moments.shape[:2], np.nan)
    return np.array([reference.errors(row, groups) for row in moments])


def _sets(
    data: DataSet, clean: Volumes, other: str, count: int, settings: Settings, rng: np.random.Generator,
    *, noisy: bool,
) -> Iterator[tuple[str, Volumes]]:  # fmt: skip
    """Give in-domain spectra and all controls by name, one set after the other: they fill the memory."""
    yield "in domain", as_in_training(clean, settings, rng, noisy=noisy)
    away = read_spectra(data, other, "test", count, settings, rng)
    yield "wrong domain", as_in_training(away, settings, rng, noisy=noisy)
    yield "wrong domain, clean", as_in_training(away, settings, rng, noisy=False)
    del away
    spectra = controls(clean[:count], rng, held_out=True)
    for name in list(spectra):
        yield name, as_in_training(spectra.pop(name), settings, rng, noisy=noisy, augment=False)


def _shares(verdicts: list[Any]) -> dict[str, float]:
    return {name: verdicts.count(name) / max(len(verdicts), 1) for name in VERDICTS}


def _error_correlation(
    judge: _Judge, dataset: DataSet, settings: Settings, rng: np.random.Generator
) -> dict[str, float] | None:
    """Correlate (Spearman) score and expected error with the true relative L2, where pairs exist."""
    from scipy.stats import spearmanr

    pairs = draw_pairs(judge.comparison.bundle, dataset, judge.comparison.direction, "test", settings, rng)
    if pairs is None:
        return None
    inside, truth = pairs
    cuts = None if judge.axis is None else Cuts.draw(inside.mask, judge.axis, CUTS_OF_VOLUME, rng)
    errors = judge.errors(inside, truth, cuts)
    spectra = inside if cuts is None else cuts.spectra(inside)
    scores = judge.look(spectra)
    correlations = {"in_domain": float(spearmanr(scores.score, errors).statistic)}
    expected = judge.expected(scores)
    if np.isfinite(expected).all():
        correlations["expected_error_in_domain"] = float(spearmanr(expected, errors).statistic)
        correlations["expected_over_true_error"] = float(np.median(expected / errors))
    return correlations
