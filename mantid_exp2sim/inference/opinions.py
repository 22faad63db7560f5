"""What should make a user doubt a classification: the other classifier, and the model's domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.domain.check import DomainCheck
    from mantid_exp2sim.domain.features import Role
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.model.bundle import Model


def likelier_domain(
    model: Model,
    histogram: Histogram,
    domain: str,
    *,
    deconvolve: bool,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
) -> tuple[str, Mapping[Role, DomainCheck]]:
    """Which classifier ``auto`` means for data as they are, and the domain checks that were made to tell.

    That of the domain the data look more like. Data that were translated by us say so in their history. Else
    the domain check of both directions decides, by the p-value, then by the score over its limit. ``domain``
    is given back where it is not "auto", where the data are deconvolved first, and where the model has no
    domain check or not both classifiers: then `mantid_exp2sim.inference.classify.choose_domain` takes that of
    simulation-like data.
    """
    card = model.card
    asked = domain == "auto" and not deconvolve
    if not asked or "convolved" not in card.classifiers or card.target not in card.classifiers:
        return domain, {}
    history = histogram.metadata.get("history")
    for entry in reversed(history if isinstance(history, list) else []):
        command = entry.get("command") if isinstance(entry, dict) else None
        if command in ("deconvolve", "convolve"):
            return (card.target if command == "deconvolve" else "convolved"), {}
    if card.domain is None or not {"deconvolve", "convolve"} <= set(card.domain.directions):
        return domain, {}
    kinds: dict[Role, str] = {"deconvolve": "convolved", "convolve": card.target}
    checks = {
        direction: model.check_domain(
            histogram, direction=direction, scale=scale, incident_energy=incident_energy
        )
        for direction in kinds
    }
    return kinds[max(checks, key=lambda direction: _likeness(checks[direction]))], checks


def _likeness(check: DomainCheck) -> tuple[float, float]:
    over = (check.score or 0.0) / check.limit if check.limit else 0.0
    return (-1.0 if check.p_value is None else check.p_value, -over)


def with_warnings(
    model: Model,
    histogram: Histogram,
    found: Classification,
    *,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
    checks: Mapping[Role, DomainCheck] | None = None,
) -> Classification:
    """A classification with a second opinion, a domain check, and a warning where either gives cause.

    ``checks`` are those of these data that were made already.
    """
    second = _second_opinion(model, histogram, found, scale=scale, incident_energy=incident_energy)
    domain = _domain(model, histogram, found, checks or {}, scale=scale, incident_energy=incident_energy)
    warnings = []
    if second is not None and second["prediction"] != found.prediction:
        warnings.append(
            f"the classifiers disagree: that of {found.domain} data says {found.prediction}, "
            f"that of {second['domain']} data {second['prediction']}"
        )
    if domain["verdict"] != "trustworthy":
        p_value = "" if domain["p_value"] is None else f" (p = {domain['p_value']:.2g})"
        warnings.append(f"domain: {domain['verdict']}{p_value}")
    return replace(found, second_opinion=second, domain_check=domain, warnings=tuple(warnings))


def _second_opinion(
    model: Model, histogram: Histogram, found: Classification, **options: Any
) -> dict[str, Any] | None:
    from mantid_exp2sim.inference.classify import classify

    others = [domain for domain in model.card.classifiers if domain != found.domain]
    if not others:
        return None
    other = "convolved" if "convolved" in others else others[0]
    try:
        second = classify(model, histogram, domain=other, **options)
    except Exp2SimError:  # a classifier of whole measurements takes no single volume
        return None
    return {
        "domain": second.domain, "prediction": second.prediction, "correlations": dict(second.correlations)
    }  # fmt: skip


def _domain(
    model: Model,
    histogram: Histogram,
    found: Classification,
    checks: Mapping[Role, DomainCheck],
    **options: Any,
) -> dict[str, Any]:
    """The verdict on the data a translation started from, if these come from one; else on these data."""
    history = histogram.metadata.get("history")
    if isinstance(history, list):
        for entry in reversed(history):
            if isinstance(entry, dict) and isinstance(entry.get("domain"), dict):
                earlier: dict[str, Any] = entry["domain"]
                if {"verdict", "p_value"} <= set(earlier):
                    return earlier
    measured = found.deconvolved or found.domain == "convolved"
    direction: Role = "deconvolve" if measured else "convolve"
    made = checks.get(direction) or model.check_domain(histogram, direction=direction, **options)
    return made.to_dict()
