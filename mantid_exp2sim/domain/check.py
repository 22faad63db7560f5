"""Say whether a measurement is inside a model's domain of application.

Encoder features of the data's volumes (:mod:`mantid_exp2sim.domain.features`) are compared with those of the
training set, stored in the model's ``domain.safetensors``. Six numbers say how far they are, each
conditional on the incident energy: the residual of the feature moments off the subspace that the training
spectra fill (given how far they reach within it), their place on the axis that parts the two kinds of data
(its mean, and its largest deviation to either side), the Mahalanobis distance of all incident energies
together, the debiased optimal-transport distance of feature points, and how the intensity is shared between
the incident energies. Their upper tails, each in units of its in-domain spread, add up in squares to one
score, whose p-value is the rank among held-out in-domain spectra (split conformal: Vovk, Gammerman, Shafer
2005): uniform for spectra of the domain, whatever the score. The spectra that it was made of had masks of
many kinds, so that the mask makes no verdict.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mantid_exp2sim.domain.comparison import Comparison, section_of
from mantid_exp2sim.domain.likeness import NUMBERS, conformal_p, extreme
from mantid_exp2sim.domain.reasons import clipping, reasons_of
from mantid_exp2sim.errors import Exp2SimError, OutsideDomainError
from mantid_exp2sim.model.card import DIRECTIONS

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.inference.volumes import Volumes
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Calibrated, Direction, DirectionCard, DomainCard

Verdict = Literal["trustworthy", "expert opinion", "untrustworthy", "not known"]

_LOG = logging.getLogger(__name__)
VERDICTS: tuple[Verdict, ...] = ("trustworthy", "expert opinion", "untrustworthy")
"""From good to bad."""
ENOUGH = 0.5
"""Data with less than this share of the measured bins of the calibration are never called untrustworthy."""


@dataclass(frozen=True, slots=True)
class DomainReport:
    """How far data lie from a model's domain of application.

    ``p_value``: share of in-domain spectra that look as foreign or more (None: not known). ``distance``: the
    debiased optimal-transport distance of encoder features to those of the training set, mean over volumes,
    in units of the whitened features. ``score``: what the p-value ranks, and ``limit`` the score above which
    the data are untrustworthy. ``expected_error``: relative L2 distance of the translation to the truth that
    the features foretell (None: not known). ``note`` says what limits the answer, if anything does, and
    ``reasons`` why the data are not trustworthy, the strongest first, each with what to do.
    """

    p_value: float | None
    distance: float | None
    verdict: Verdict
    score: float | None = None
    limit: float | None = None
    direction: str = "deconvolve"
    note: str = ""
    expected_error: float | None = None
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold.

        >>> DomainReport(None, None, "not known").to_dict()["verdict"]
        'not known'
        """
        return asdict(self)

    def words(self) -> str:
        """Say it in one line.

        >>> DomainReport(0.4, 1.25, "trustworthy").words()
        'domain: trustworthy (p = 0.4, distance 1.25)'
        """
        if self.p_value is None:
            return f"domain: {self.verdict}{f' ({self.note})' if self.note else ''}"
        note = f"; {self.note}" if self.note else ""
        reason = f"; {self.reasons[0]}" if self.reasons else ""
        figures = f"p = {self.p_value:.2g}, distance {self.distance:.3g}{note}"
        return f"domain: {self.verdict} ({figures}){reason}"


def check_domain(prepared: Prepared, direction: Direction = "deconvolve") -> DomainReport:
    """Say whether prepared data are inside the domain that ``direction`` was trained on; computed once.

    ``deconvolve`` asks for measurement-like data, ``convolve`` for simulation-like ones. A model without a
    reference gives the verdict "not known". The answer depends on the data and the seed on the card alone.

    Raises
    ------
    Exp2SimError
        If the model's files are damaged.
    """
    if direction not in DIRECTIONS:
        raise Exp2SimError(
            f"direction is {direction!r}.",
            reason="It takes 'deconvolve' or 'convolve'.",
            fix="Give one of these.",
        )
    return prepared.once(
        ("domain", direction),
        lambda: check_volumes(prepared.bundle, prepared.volumes, prepared.factor, direction),
    )


def check_volumes(bundle: Bundle, volumes: Volumes, factor: float, direction: Direction) -> DomainReport:
    """Say whether volumes are inside the domain; ``factor`` brings them to the model's intensity unit."""
    card = bundle.card.domain
    if card is None or direction not in card.directions:
        note = "the model keeps no reference for it"
        return DomainReport(None, None, "not known", direction=direction, note=note)
    cuts = compares_cuts(card, volumes)
    section, comparison = section_of(card, cuts=cuts), Comparison.of(bundle, direction, cuts=cuts)
    reference, limits = comparison.reference, section.directions[direction]
    with np.errstate(over="ignore", invalid="ignore"):
        data = comparison.deviations(volumes, factor)
    inside = reference.scores(reference.calibration[:, data.groups], data.groups)
    limit = limits.limit * extreme(inside)
    tails = np.full(len(NUMBERS), np.inf)
    if np.isfinite([*data.parts.ravel(), data.distance]).all():
        tails = reference.tails(data.parts[None], data.groups)[0]
    score = float(np.sqrt((tails**2).sum()))
    p_value = conformal_p(score, inside, _tie_breaker(card.seed, volumes))
    expected = data.expected_error if np.isfinite(data.expected_error) else None
    doubt = error_ratio(limits, expected)
    verdict = judge(card, p_value, score, limit)
    if doubt is not None:
        least: Verdict = "untrustworthy" if doubt > limits.refused_error else "expert opinion"
        verdict = max(verdict, least, key=VERDICTS.index)
    spoilt = clipping(volumes.intensity, volumes.mask)
    if spoilt:
        verdict = max(verdict, "expert opinion", key=VERDICTS.index)
    share, note = measured_share(section, volumes), ""
    if share < ENOUGH:
        note = f"calibrated on larger data: {100 * share:.0f} % of their measured bins"
        verdict = "expert opinion" if verdict == "untrustworthy" else verdict
    reasons = () if verdict == "trustworthy" else (*spoilt, *reasons_of(tails.tolist(), doubt))
    distance = data.distance if np.isfinite(score) else float("inf")
    return DomainReport(p_value, distance, verdict, score, limit, direction, note, expected, reasons)


def _tie_breaker(seed: int, volumes: Volumes) -> float:
    """Draw a number from 0 to 1 that depends on the data, but on no unit of theirs."""
    values = volumes.intensity
    brighter = np.packbits(values > np.median(values[~volumes.mask]))
    return float(np.random.default_rng([seed, zlib.crc32(brighter.tobytes())]).random())


def error_ratio(card: DirectionCard, expected: float | None) -> float | None:
    """Return the expected error over the usual one where it is doubtful, else None."""
    if expected is None or card.usual_error is None:
        return None
    ratio = expected / card.usual_error
    return ratio if ratio > card.doubtful_error else None


def compares_cuts(card: DomainCard, volumes: Volumes) -> bool:
    """Say whether data are compared with single cuts: where the card has such, and they are no volumes."""
    return card.cuts is not None and measured_share(card, volumes) < ENOUGH


def measured_share(section: Calibrated, volumes: Volumes) -> float:
    """Return the measured bins, as a share of those of as many calibration volumes or cuts."""
    measured = (~volumes.mask).reshape(len(volumes.mask), -1).sum(axis=1)
    return float(measured.sum()) / max(section.measured_bins * float((measured > 0).sum()), 1.0)


def judge(card: DomainCard, p_value: float, score: float, limit: float) -> Verdict:
    """Give the verdict of a p-value and a score, by the thresholds on the card."""
    if p_value >= card.trustworthy:
        return "trustworthy"
    return "untrustworthy" if score > limit else "expert opinion"


def require_domain(prepared: Prepared, direction: Direction) -> DomainReport:
    """Check the domain; raise `OutsideDomainError` where data are untrustworthy and not forced.

    What is not trustworthy and goes on is logged as a warning, which a script shows on stderr.
    """
    report = check_domain(prepared, direction)
    if report.verdict == "untrustworthy" and not prepared.options.force:
        kind = "measurement-like" if direction == "deconvolve" else "simulation-like"
        raise OutsideDomainError(
            f"The data are outside what the model {prepared.bundle.card.name!r} was trained on "
            f"({report.words()}).",
            reason=f"They differ more from its {kind} training data than anything of that kind that "
            "was seen, so its result cannot be trusted.",
            fix="Check axes, units and mask (`exp2sim check`), use another model or the known resolution "
            "(method richardson-lucy or resolution), or force it "
            "(`--force`, property Force, force=True).",
            p_value=report.p_value,
            score=report.score,
            limit=report.limit,
        )
    if report.verdict != "trustworthy":
        _LOG.warning("%s is not sure of these data: %s", prepared.bundle.card.name, report.words())
    return report


def with_verdict(result: Histogram, report: DomainReport) -> Histogram:
    """Put a report into the last entry of a translated histogram's history."""
    history = list(result.metadata["history"])
    history[-1] = {**history[-1], "domain": report.to_dict()}
    return result.replace(metadata={**result.metadata, "history": history})
