"""What the domain check says of every control, and of held-out spectra of the domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.check import Gauge, Verdict, calibrated, judge
from mantid_exp2sim.domain.likeness import FAR, Reference, conformal_p, extreme, together
from mantid_exp2sim.domain.reference import domain_card
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.calibration.cuts import Cuts, cut_axis, cut_out
from mantid_exp2sim.training.calibration.domain_errors import draw_pairs, squared_errors
from mantid_exp2sim.training.calibration.domain_fit import parts_of
from mantid_exp2sim.training.calibration.spectra import (
    DIRECTIONS,
    Settings,
    as_in_training,
    encode_spectra,
    kind_of,
    read_spectra,
)
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.synthetic.controls import controls, exchanged_masks
from mantid_exp2sim.training.trainers.scores import area_under_curve

if TYPE_CHECKING:
    from mantid_exp2sim.domain.features import Role
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.training.datasets.dataset import DataSet

Floats: TypeAlias = NDArray[np.float64]
EACH = 2
"""Cuts of each volume."""
VERDICTS = ("trustworthy", "expert opinion", "untrustworthy")


def control_report(
    model: Bundle,
    dataset: DataSet,
    seed: int = 0,
    *,
    count: int = 100,
    direction: Role = "deconvolve",
    cuts: bool = False,
) -> dict[str, Any]:
    """AUROC, p-values and verdicts of every control set against held-out in-domain spectra.

    ``count`` spectra of the test split and as many of each control, seeded. With ``cuts`` single cuts of
    them at every incident energy, each by itself, of a model that takes such. JSON: ``in_domain`` with the
    Kolmogorov–Smirnov p of the uniformity of the p-values (of one cut of each spectrum, for several are not
    independent), ``controls`` by name (``auroc`` of the score,
    ``median_p``, share of each verdict), ``error_correlation``: Spearman's rank correlation of the score with
    the relative L2 of the translation to the true counterpart, where pairs exist, in domain alone and with
    the wrong domain and exchanged masks.

    Raises `Exp2SimError` where the model keeps no reference for this direction, or takes no cuts.
    """
    from scipy.stats import ks_2samp, kstest

    card = domain_card(model)
    if direction not in card.directions:
        raise Exp2SimError(f"The model {model.card.name!r} keeps no reference for {direction}.")
    settings = replace(Settings.recorded(card), paired=count)
    rng = np.random.default_rng([seed, 7, DIRECTIONS.index(direction)])
    noisy = direction == "deconvolve"
    own = kind_of(model.card, direction)
    wrong = kind_of(model.card, DIRECTIONS[1 - DIRECTIONS.index(direction)])
    judge = _Judge.of(model, direction, settings, cuts=cuts)
    clean = read_spectra(dataset, own, "test", 2 * count, rng)
    half = min(count, len(clean))
    found = {
        name: judge.look(cut_out(one, judge.axis, EACH, rng))
        for name, one in _sets(dataset, clean, wrong, half, settings, rng, noisy=noisy)
    }
    p_values = {name: judge.p_values(one, rng) for name, one in found.items()}
    shares = {name: _shares(judge.verdicts(one, p_values[name])) for name, one in found.items()}
    inside = found["in domain"]
    uniform = kstest(p_values["in domain"][judge.apart(inside)], "uniform")
    return {
        "direction": direction,
        "cuts": cuts,
        "seed": seed,
        "spectra": {name: len(one.score) for name, one in found.items()},
        "in_domain": {
            "ks_p": float(uniform.pvalue),
            "ks_statistic": float(uniform.statistic),
            "ks_p_two_sample": float(
                ks_2samp(inside.score[judge.apart(inside)], np.concatenate(judge.inside)).pvalue
            ),
            "share_below_0.05": float((p_values["in domain"] < 0.05).mean()),
            "verdicts": shares["in domain"],
        },
        "controls": {
            name: {
                "auroc": area_under_curve(one.score, inside.score),
                "auroc_distance_alone": area_under_curve(one.distance, inside.distance),
                "median_p": float(np.median(p_values[name])),
                "share_below_0.05": float((p_values[name] < 0.05).mean()),
                "verdicts": shares[name],
            }
            for name, one in found.items()
            if name != "in domain"
        },
        "error_correlation": _error_correlation(judge, dataset, settings, rng),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Scores with and without the gaps and transport distances, (n,) each, and ``which`` of the judge's
    calibrations they are compared with. ``errors`` that are expected of each volume, (spectra, G).
    """

    score: Floats
    plain: Floats
    distance: Floats
    errors: Floats
    which: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Scores as the check gives them: of whole spectra, or of cuts of one incident energy each."""

    gauge: Gauge
    settings: Settings
    axis: int | None
    groups: list[list[int]]
    inside: list[Floats]
    limits: list[float]

    @classmethod
    def of(cls, model: Bundle, direction: Role, settings: Settings, *, cuts: bool) -> _Judge:
        card = domain_card(model)
        if cuts and card.cuts is None:
            raise Exp2SimError(f"The model {model.card.name!r} keeps no reference of single cuts.")
        gauge, axis = Gauge.of(model, direction, cuts=cuts), cut_axis(model.card.layout) if cuts else None
        reference, factor = gauge.reference, calibrated(card, cuts=cuts).directions[direction].limit
        every = list(range(reference.fit.shape[1]))
        groups = [[group] for group in every] if cuts else [every]
        inside = [reference.scores(reference.calibration[:, own], own) for own in groups]
        limits = [factor * extreme(scores) for scores in inside]
        return cls(gauge, settings, axis, groups, inside, limits)

    def look(self, spectra: Volumes) -> _Found:
        """What is found of spectra, or of cuts: those of the first incident energy first."""
        reference = self.gauge.reference
        features = encode_spectra(self.gauge.bundle, self.gauge.role, spectra, self.settings)
        parts, errors = parts_of(self.gauge, features), _expected(reference, features.moments)
        score, plain = (
            np.concatenate([reference.scores(parts[:, own], own, gaps=gaps) for own in self.groups])
            for gaps in (True, False)
        )
        return _Found(
            score,
            plain,
            np.concatenate([np.exp(parts[:, own, FAR]).mean(axis=1) for own in self.groups]),
            errors,
            np.repeat(np.arange(len(self.groups)), len(parts)),
        )

    def apart(self, found: _Found) -> NDArray[np.bool_]:
        """Which of them are of spectra of their own: all, or one cut of each."""
        count = len(found.which) // len(self.groups)
        row = np.tile(np.arange(count), len(self.groups))
        if not self.gauge.cuts:
            return np.ones(len(row), dtype=bool)
        return np.asarray((row % EACH == 0) & (found.which == row // EACH % len(self.groups)))

    def p_values(self, found: _Found, rng: np.random.Generator) -> Floats:
        """Ranks among the calibration's scores."""
        return np.array(
            [
                conformal_p(float(value), self.inside[which], float(rng.random()))
                for value, which in zip(found.score, found.which, strict=True)
            ]
        )

    def verdicts(self, found: _Found, p_values: Floats) -> list[Verdict]:
        """By the thresholds on the card."""
        card = domain_card(self.gauge.bundle)
        rows = zip(p_values, found.plain, found.which, strict=True)
        return [judge(card, p, score, self.limits[which]) for p, score, which in rows]

    def expected(self, found: _Found, spectra: Volumes) -> Floats:
        """The relative L2 that the features foretell of what was found of spectra, in the order of `look`."""
        squares = np.where(spectra.mask, 0, spectra.values.astype(float) ** 2).sum(axis=(2, 3, 4))
        return np.concatenate([together(found.errors[:, own], squares[:, own]) for own in self.groups])

    def errors(self, spectra: Volumes, truth: Volumes, cuts: Cuts | None) -> Floats:
        """The true relative L2 of what is made of spectra, in the order of `look`."""
        wrong, true = squared_errors(self.gauge.bundle, self.gauge.role, spectra, truth, cuts=cuts)
        return np.concatenate(
            [
                np.sqrt(wrong[:, own].sum(axis=1) / np.maximum(true[:, own].sum(axis=1), 1e-30))
                for own in self.groups
            ]
        )


def _expected(reference: Reference, moments: Floats) -> Floats:
    """The errors (n, G) that the features foretell, NaN where they are not known."""
    groups = list(range(moments.shape[1]))
    each = [reference.errors(row, groups) for row in moments]
    return np.array([np.full(len(groups), np.nan) if found is None else found for found in each])


def _sets(
    dataset: DataSet, clean: Volumes, wrong: str, count: int, settings: Settings, rng: np.random.Generator,
    *, noisy: bool,
) -> Iterator[tuple[str, Volumes]]:  # fmt: skip
    """In-domain spectra and all controls by name, one set after the other: together they fill the memory."""
    yield "in domain", as_in_training(clean, settings, rng, noisy=noisy)
    away = read_spectra(dataset, wrong, "test", count, rng)
    yield "wrong domain", as_in_training(away, settings, rng, noisy=noisy)
    yield "wrong domain, clean", as_in_training(away, settings, rng, noisy=False)
    del away
    made = controls(clean[:count], rng, held_out=True)
    for name in list(made):
        yield name, as_in_training(made.pop(name), settings, rng, noisy=noisy, augment=False)


def _shares(verdicts: list[Any]) -> dict[str, float]:
    return {name: verdicts.count(name) / max(len(verdicts), 1) for name in VERDICTS}


def _error_correlation(
    judge: _Judge, dataset: DataSet, settings: Settings, rng: np.random.Generator
) -> dict[str, float] | None:
    """Spearman of the score and of the expected error with the true relative L2, where pairs exist."""
    from scipy.stats import spearmanr

    pairs = draw_pairs(judge.gauge.bundle, dataset, judge.gauge.role, "test", settings, rng)
    if pairs is None:
        return None
    inside, truth = pairs
    clean = inside.filled(inside.values)
    swapped = exchanged_masks(clean)["mask of another energy"]
    errors, found, looked = [], [], []
    for spectra in (inside, truth, swapped):
        cuts = None
        if judge.axis is not None:
            cuts = Cuts.draw(spectra.mask, judge.axis, EACH, rng)
        errors.append(judge.errors(spectra, truth, cuts))
        looked.append(spectra if cuts is None else cuts.spectra(spectra))
        found.append(judge.look(looked[-1]))
    scores = [one.score for one in found]
    correlations = {
        "in_domain": float(spearmanr(scores[0], errors[0]).statistic),
        "with_wrong_domain_and_masks": float(
            spearmanr(np.concatenate(scores), np.concatenate(errors)).statistic
        ),
    }
    expected = judge.expected(found[0], looked[0])
    if np.isfinite(expected).all():
        correlations["expected_error_in_domain"] = float(spearmanr(expected, errors[0]).statistic)
        correlations["expected_over_true_error"] = float(np.median(expected / errors[0]))
    return correlations


def words(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    inside = report["in_domain"]
    lines = [
        f"{report['direction']}{', single cuts' if report['cuts'] else ''}: p-values of "
        f"{report['spectra']['in domain']} held-out in-domain spectra uniform: Kolmogorov-Smirnov "
        f"p = {inside['ks_p']:.2f} (of two samples {inside['ks_p_two_sample']:.2f}), "
        f"{100 * inside['share_below_0.05']:.0f} % below 0.05, refused "
        f"{100 * inside['verdicts']['untrustworthy']:.1f} %",
        "",
        "| control | AUROC | of the transport distance alone | p < 0.05 | untrustworthy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, entry in report["controls"].items():
        lines.append(
            f"| {name} | {entry['auroc']:.3f} | {entry['auroc_distance_alone']:.3f} "
            f"| {100 * entry['share_below_0.05']:.0f} % | {100 * entry['verdicts']['untrustworthy']:.0f} % |"
        )
    if report["error_correlation"] is not None:
        found = report["error_correlation"]
        lines += [
            "",
            f"Spearman of the score with the true translation error: {found['in_domain']:.2f} in domain, "
            f"{found['with_wrong_domain_and_masks']:.2f} with the wrong domain and exchanged masks.",
        ]
        if "expected_error_in_domain" in found:
            lines.append(
                f"Spearman of the expected error with the true one {found['expected_error_in_domain']:.2f} "
                f"in domain; median ratio {found['expected_over_true_error']:.2f}."
            )
    return "\n".join(lines)
