"""What the domain check says of every control, and of held-out spectra of the domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from mantid_exp2sim.training.domain_controls import controls, exchanged_masks
from mantid_exp2sim.training.domain_errors import draw_pairs, squared_errors
from mantid_exp2sim.training.domain_fit import parts_of
from mantid_exp2sim.training.domain_spectra import (
    DIRECTIONS,
    Settings,
    Spectra,
    as_in_training,
    encode_spectra,
    kind_of,
    read_spectra,
)
from mantid_exp2sim.training.evaluation.statistics import area_under_curve
from numpy.typing import NDArray

from mantid_exp2sim.applicability import judge
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.likeness import FAR, conformal_p, extreme, together

if TYPE_CHECKING:
    from mantid_exp2sim.training.store import DataSet

    from mantid_exp2sim.bundle import Model
    from mantid_exp2sim.encoder import Role

Floats: TypeAlias = NDArray[np.float64]
VERDICTS = ("trustworthy", "expert opinion", "untrustworthy")


def control_report(
    model: Model, dataset: DataSet, seed: int = 0, *, count: int = 100, direction: Role = "deconvolve"
) -> dict[str, Any]:
    """AUROC, p-values and verdicts of every control set against held-out in-domain spectra.

    ``count`` spectra of the test split and as many of each control, seeded. JSON: ``in_domain`` with the
    Kolmogorov–Smirnov p of the uniformity of the p-values, ``controls`` by name (``auroc`` of the score,
    ``median_p``, share of each verdict), ``error_correlation``: Spearman's rank correlation of the score with
    the relative L2 of the translation to the true counterpart, where pairs exist, in domain alone and with
    the wrong domain and exchanged masks.

    Raises `Exp2SimError` where the model keeps no reference for this direction.
    """
    from scipy.stats import ks_2samp, kstest

    card = model.domain_card()
    if direction not in card.directions:
        raise Exp2SimError(f"The model {model.card.name!r} keeps no reference for {direction}.")
    settings = replace(Settings.recorded(card), paired=count)
    rng = np.random.default_rng([seed, 7, DIRECTIONS.index(direction)])
    noisy = direction == "deconvolve"
    own = kind_of(model.card, direction)
    wrong = kind_of(model.card, DIRECTIONS[1 - DIRECTIONS.index(direction)])
    clean = read_spectra(dataset, own, "test", 2 * count, rng)
    half = min(count, len(clean.x))
    spectra, scores, plain, distances = {}, {}, {}, {}
    for name, one in _sets(dataset, clean, wrong, half, settings, rng, noisy=noisy):
        spectra[name] = len(one.x)
        scores[name], plain[name], distances[name] = _scores(model, direction, one, settings)
    reference = model.domain_reference(direction)
    groups = list(range(reference.fit.shape[1]))
    calibration = reference.scores(reference.calibration, groups)
    limit = card.directions[direction].limit * extreme(calibration)
    p_values = {
        name: np.array([conformal_p(float(v), calibration, float(rng.random())) for v in values])
        for name, values in scores.items()
    }
    shares = {
        name: _shares([judge(card, p, s, limit) for p, s in zip(p_values[name], plain[name], strict=True)])
        for name in spectra
    }
    inside = scores["in domain"]
    uniform = kstest(p_values["in domain"], "uniform")
    return {
        "direction": direction,
        "seed": seed,
        "spectra": spectra,
        "in_domain": {
            "ks_p": float(uniform.pvalue),
            "ks_statistic": float(uniform.statistic),
            "ks_p_two_sample": float(ks_2samp(scores["in domain"], calibration).pvalue),
            "share_below_0.05": float((p_values["in domain"] < 0.05).mean()),
            "verdicts": shares["in domain"],
        },
        "controls": {
            name: {
                "auroc": area_under_curve(scores[name], inside),
                "auroc_distance_alone": area_under_curve(distances[name], distances["in domain"]),
                "median_p": float(np.median(p_values[name])),
                "share_below_0.05": float((p_values[name] < 0.05).mean()),
                "verdicts": shares[name],
            }
            for name in spectra
            if name != "in domain"
        },
        "error_correlation": _error_correlation(model, dataset, direction, settings, rng),
    }


def _sets(
    dataset: DataSet, clean: Spectra, wrong: str, count: int, settings: Settings, rng: np.random.Generator,
    *, noisy: bool,
) -> Iterator[tuple[str, Spectra]]:  # fmt: skip
    """In-domain spectra and all controls by name, one set after the other: together they fill the memory."""
    yield "in domain", as_in_training(clean, settings, rng, noisy=noisy)
    away = read_spectra(dataset, wrong, "test", count, rng)
    yield "wrong domain", as_in_training(away, settings, rng, noisy=noisy)
    yield "wrong domain, clean", as_in_training(away, settings, rng, noisy=False)
    del away
    made = controls(clean[:count], rng, seen=False)
    for name in list(made):
        yield name, as_in_training(made.pop(name), settings, rng, noisy=noisy, augment=False)


def _scores(model: Model, direction: Role, spectra: Spectra, settings: Settings) -> Sequence[Floats]:
    """Scores with and without the gaps, and transport distances: (n,) each."""
    reference = model.domain_reference(direction)
    regularisation = model.domain_card().directions[direction].regularisation
    parts = parts_of(reference, encode_spectra(model, direction, spectra, settings), regularisation)
    groups = list(range(parts.shape[1]))
    scores = [reference.scores(parts, groups, gaps=gaps) for gaps in (True, False)]
    return [*scores, np.exp(parts[..., FAR]).mean(axis=1)]


def _shares(verdicts: list[Any]) -> dict[str, float]:
    return {name: verdicts.count(name) / max(len(verdicts), 1) for name in VERDICTS}


def _error_correlation(
    model: Model, dataset: DataSet, direction: Role, settings: Settings, rng: np.random.Generator
) -> dict[str, float] | None:
    """Spearman of the score and of the expected error with the true relative L2, where pairs exist."""
    from scipy.stats import spearmanr

    pairs = draw_pairs(model, dataset, direction, "test", settings, rng)
    if pairs is None:
        return None
    inside, truth = pairs
    clean = replace(inside, x=np.where(inside.mask, np.float32(0), inside.x))
    swapped = exchanged_masks(clean)["mask of another energy"]
    errors, scores = [], []
    for spectra in (inside, truth, swapped):
        wrong, true = squared_errors(model, direction, spectra, truth)
        errors.append(np.sqrt(wrong.sum(axis=1) / np.maximum(true.sum(axis=1), 1e-30)))
        scores.append(_scores(model, direction, spectra, settings)[0])
    found = {
        "in_domain": float(spearmanr(scores[0], errors[0]).statistic),
        "with_wrong_domain_and_masks": float(
            spearmanr(np.concatenate(scores), np.concatenate(errors)).statistic
        ),
    }
    expected = expected_errors(model, direction, inside, settings)
    if expected is not None:
        found["expected_error_in_domain"] = float(spearmanr(expected, errors[0]).statistic)
        found["expected_over_true_error"] = float(np.median(expected / errors[0]))
    return found


def expected_errors(model: Model, direction: Role, spectra: Spectra, settings: Settings) -> Floats | None:
    """The errors (n,) that the features foretell; None where the reference does not know."""
    reference = model.domain_reference(direction)
    moments = encode_spectra(model, direction, spectra, settings).moments
    groups = list(range(moments.shape[1]))
    each = [reference.errors(m, groups) for m in moments]
    known = [e for e in each if e is not None]
    squares = np.where(spectra.mask, 0, spectra.x.astype(float) ** 2).sum(axis=(2, 3, 4))
    return together(np.stack(known), squares) if known else None


def words(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    inside = report["in_domain"]
    lines = [
        f"{report['direction']}: p-values of held-out in-domain spectra uniform: Kolmogorov-Smirnov "
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
