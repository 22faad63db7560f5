"""What should make a user doubt a classification: the other classifier, and the domain of application."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.domain.check import check_domain
from mantid_exp2sim.errors import IncompleteMosaicError, NotFiniteError
from mantid_exp2sim.inference.classify import Classification, classify
from mantid_exp2sim.inference.history import history_of
from mantid_exp2sim.model.card import DIRECTIONS, Direction

if TYPE_CHECKING:
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.inference.prepare import Prepared


def likelier_kind(prepared: Prepared, data_kind: str, *, deconvolve: bool) -> str:
    """Choose the classifier that ``auto`` means for data as they are: that of the kind they look more like.

    Data that were translated by us say so in their history. Else the domain check of both directions decides,
    by the p-value, then by the score over its limit. ``data_kind`` is given back where it is not "auto",
    where the data are deconvolved first, and where the model has no domain check or not both classifiers:
    then `mantid_exp2sim.inference.classify.choose_kind` takes that of simulation-like data.
    """
    card = prepared.bundle.card
    kinds: dict[Direction, str] = {"deconvolve": "convolved", "convolve": card.target}
    if data_kind != "auto" or deconvolve or not set(kinds.values()) <= set(card.classifiers):
        return data_kind
    for step in reversed(history_of(prepared.histogram)):
        if step.get("command") in DIRECTIONS:
            return card.target if step["command"] == "deconvolve" else "convolved"
    if card.domain is None or not set(kinds) <= set(card.domain.directions):
        return data_kind
    return kinds[max(kinds, key=lambda direction: _likeness(check_domain(prepared, direction)))]


def _likeness(report: DomainReport) -> tuple[float, float]:
    over = (report.score or 0.0) / report.limit if report.limit else 0.0
    return (-1.0 if report.p_value is None else report.p_value, -over)


def with_warnings(prepared: Prepared, classification: Classification) -> Classification:
    """Add a second opinion and a domain check to a classification, and a warning where either is a reason."""
    second = _second_opinion(prepared, classification)
    domain = _domain(prepared, classification)
    warnings = []
    if second is not None and second["prediction"] != classification.prediction:
        warnings.append(
            f"the classifiers disagree: that of {classification.data_kind} data says "
            f"{classification.prediction}, that of {second['data_kind']} data {second['prediction']}"
        )
    if domain["verdict"] != "trustworthy":
        p_value = "" if domain["p_value"] is None else f" (p = {domain['p_value']:.2g})"
        warnings.append(f"domain: {domain['verdict']}{p_value}")
    return replace(classification, second_opinion=second, domain_check=domain, warnings=tuple(warnings))


def _second_opinion(prepared: Prepared, classification: Classification) -> dict[str, Any] | None:
    """Ask the other classifier about the kind of data that it was trained on.

    Measurement-like data are deconvolved for it; of simulation-like data there is no other kind.
    """
    card, measured = prepared.bundle.card, classification.data_kind == "convolved"
    kind = card.target if measured else "convolved"
    answerable = card.keys("deconvolve") if measured else classification.deconvolved
    if kind not in card.classifiers or not answerable:
        return None
    try:
        second = classify(prepared, kind, deconvolve=measured)
    except (IncompleteMosaicError, NotFiniteError):
        return None
    return {
        "data_kind": second.data_kind,
        "prediction": second.prediction,
        "correlations": dict(second.correlations),
    }


def _domain(prepared: Prepared, classification: Classification) -> dict[str, Any]:
    """Return the verdict on the data a translation started from, if these come from one; else on these."""
    for step in reversed(history_of(prepared.histogram)):
        earlier = step.get("domain")
        if isinstance(earlier, dict) and {"verdict", "p_value"} <= set(earlier):
            return earlier
    measured = classification.deconvolved or classification.data_kind == "convolved"
    return check_domain(prepared, "deconvolve" if measured else "convolve").to_dict()
