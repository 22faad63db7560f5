"""The likelihood as a second opinion on a classification: the spin models are fitted to the same data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError, OptionError
from mantid_exp2sim.inference.classify import NONE, Classification
from mantid_exp2sim.inference.history import history_of
from mantid_exp2sim.model.card import DIRECTIONS

if TYPE_CHECKING:
    from mantid_exp2sim.fitting.options import Measurement
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.prepare import Prepared
    from mantid_exp2sim.inference.translate import Progress
    from mantid_exp2sim.model.card import Card

QUICK: dict[str, Any] = {"starts": 4, "samples": 0, "grid": 16}
"""A fit that tells models apart; its constants are not for publication."""


def require_spin_models(card: Card) -> None:
    """Raise `Exp2SimError` if a class of a model has no spin model that can be fitted."""
    from mantid_exp2sim.simulation.manganite import PARAMETERS

    if not card.classes or not set(card.classes) <= set(PARAMETERS):
        raise Exp2SimError(
            f"The classes of {card.name!r} have no spin models to fit.",
            reason=f"Spin models of {', '.join(PARAMETERS)} are known.",
            fix="Leave the fit out, or fit descriptions of your own with `exp2sim fit`.",
        )


def require_fit(prepared: Prepared) -> None:
    """Refuse what has no likelihood: a model without spin models, data without the resolution in them.

    Raises
    ------
    Exp2SimError
        If a class has no spin model, or the data were deconvolved or simulated without resolution.
    """
    require_spin_models(prepared.bundle.card)
    if _without_resolution(prepared.histogram):
        raise Exp2SimError(
            "These data have no resolution in them, and the fit takes them as measured.",
            reason="Their history ends with a deconvolution, or a simulation without resolution.",
            fix="Give the measurement itself, and deconvolve it for the classifier alone.",
        )


def _without_resolution(histogram: Histogram) -> bool:
    """Say whether the last step of the history tells so."""
    for step in reversed(history_of(histogram)):
        if step.get("command") in DIRECTIONS:
            return bool(step["command"] == "deconvolve")
        if step.get("command") == "simulate":
            return str(step.get("kind", "convolved")) != "convolved"
    return False


def with_likelihood(
    prepared: Prepared, classification: Classification, *, progress: Progress | None = None
) -> Classification:
    """Add what a quick fit of the classes' spin models says, and a warning where it says something else.

    ``likelihood`` of the result has ``prediction`` ("none" where no model explains the data),
    ``delta_chi2`` (χ² of each model above the lowest), ``log_evidence``, ``p_values``, ``chi2_reduced``,
    ``explained`` by class, ``sentence``, ``notes`` and ``seconds``.
    """
    from mantid_exp2sim.fitting.fit import fit
    from mantid_exp2sim.fitting.options import FitOptions

    require_fit(prepared)
    measurement, notes = _measurement(prepared.histogram, prepared.options.incident_energy)
    classes = prepared.bundle.card.classes
    result = fit(measurement, classes, options=FitOptions(**QUICK), progress=progress)
    likelihood = {**_summary(result), "notes": [*notes, *result.notes]}
    warnings = classification.warnings
    if likelihood["prediction"] != classification.prediction:
        warnings += (
            f"the fit disagrees: the classifier says {classification.prediction}, "
            f"the likelihood {likelihood['prediction']}",
        )
    return replace(classification, likelihood=likelihood, warnings=warnings)


def _measurement(histogram: Histogram, incident_energy: float | None) -> tuple[Measurement, list[str]]:
    """Return the data with their spectrometer, and a note where it is assumed."""
    from mantid_exp2sim.fitting.options import Measurement

    if incident_energy is not None:
        histogram = histogram.replace(metadata={**histogram.metadata, "incident_energy": incident_energy})
    measurement = Measurement(histogram)
    try:
        measurement.spectrometer()
    except OptionError as error:
        if error.option != "instrument":
            raise
        return Measurement(histogram, "MAPS"), ["The data name no instrument that is known: MAPS is assumed."]
    return measurement, []


def _summary(result: Fit) -> dict[str, Any]:
    """Return what a fit says about models, as JSON can hold it."""
    chi2 = {name: float(model.panels[:, 4].sum()) for name, model in result.models.items()}
    return {
        "prediction": result.best or NONE,
        "delta_chi2": {name: value - min(chi2.values()) for name, value in chi2.items()},
        "log_evidence": {name: model.posterior.log_evidence for name, model in result.models.items()},
        "p_values": {name: model.p_value for name, model in result.models.items()},
        "chi2_reduced": {name: model.chi2_reduced for name, model in result.models.items()},
        "explained": {name: model.explained for name, model in result.models.items()},
        "sentence": result.sentence,
        "seconds": result.seconds,
    }
