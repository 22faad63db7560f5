"""What should make a user doubt a classification: the other classifier, and the model's domain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.bundle import Model
    from mantid_exp2sim.classification import Classification
    from mantid_exp2sim.encoder import Role
    from mantid_exp2sim.histogram import Histogram


def with_warnings(
    model: Model,
    histogram: Histogram,
    found: Classification,
    *,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
) -> Classification:
    """A classification with a second opinion, a domain check, and a warning where either gives cause."""
    second = _second_opinion(model, histogram, found, scale=scale, incident_energy=incident_energy)
    domain = _domain(model, histogram, found, scale=scale, incident_energy=incident_energy)
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
    from mantid_exp2sim.classification import classify

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


def _domain(model: Model, histogram: Histogram, found: Classification, **options: Any) -> dict[str, Any]:
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
    return model.check_domain(histogram, direction=direction, **options).to_dict()
