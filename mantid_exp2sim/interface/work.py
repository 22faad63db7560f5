"""The long work of the window, without Qt: functions of an entry, a choice and a progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.session import Choice, Entry

if TYPE_CHECKING:
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.inference.worker import Progress

Kind = Literal["translation", "domain", "classification", "fit"]
"""Fields of `Outcome`."""


def translate(entry: Entry, choice: Choice, progress: Progress) -> Translation:
    """Deconvolve the data, with background and residual, or convolve them."""
    from mantid_exp2sim.application.deconvolve import convolve, separate
    from mantid_exp2sim.inference.translate import Translation

    arguments: dict[str, Any] = {
        "method": choice.method,
        "model": choice.model,
        "progress": progress,
        **choice.options(),
    }
    if choice.direction == "deconvolve":
        return separate(entry.histogram, **arguments)
    return Translation(convolve(entry.histogram, **arguments))


def check(entry: Entry, choice: Choice, progress: Progress) -> DomainReport:
    """Ask whether the data are like those that the model was trained on; "not known" where it takes none."""
    from mantid_exp2sim.application.model import load_model
    from mantid_exp2sim.domain.check import DomainReport

    progress(0, 1, "load the model")
    model = load_model(choice.model)
    progress(0, 1, "compare with the training data")
    try:
        return model.check_domain(entry.histogram, choice.direction, **choice.domain_options())
    except Exp2SimError as error:
        note = f"the model does not take the data: {error}"
        return DomainReport(None, None, "not known", direction=choice.direction, note=note)


def classify(entry: Entry, choice: Choice, progress: Progress) -> Classification:
    """Ask the classifiers of the model which spin-wave model the data show."""
    from mantid_exp2sim.application.model import load_model

    progress(0, 1, "load the model")
    return load_model(choice.model).classify(entry.histogram, progress=progress, **choice.domain_options())


def fit(entry: Entry, choice: Choice, progress: Progress) -> Fit:
    """Fit the constants of the chosen spin models to the data."""
    from mantid_exp2sim.fitting.fit import fit as fit_models
    from mantid_exp2sim.fitting.options import FitOptions, Measurement

    if not choice.spin_models:
        raise Exp2SimError("No model is chosen to be fitted.", fix="Choose one or more.")
    measurement = Measurement(entry.histogram, **choice.setting())
    options = FitOptions(**choice.search())
    return fit_models(measurement, list(choice.spin_models), options=options, progress=progress)


WORK: dict[Kind, Callable[[Entry, Choice, Progress], Any]] = {
    "translation": translate,
    "domain": check,
    "classification": classify,
    "fit": fit,
}
"""By what they make."""
