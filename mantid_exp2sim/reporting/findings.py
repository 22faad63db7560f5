"""What a report says of one measurement: everything that can be asked of it, and why the rest cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.application.deconvolve import Method, separate
from mantid_exp2sim.application.intensity import LostIntensity, lost_intensity
from mantid_exp2sim.application.model import Model, load_model
from mantid_exp2sim.domain.scores import in_domain_scores
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.model.registry import DEFAULT_MODEL
from mantid_exp2sim.mosaic import is_mosaic

if TYPE_CHECKING:
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.histogram import Floats, Histogram
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.inference.translate import Translation

KINDS = {1: "cut", 2: "slice", 3: "volume"}


@dataclass(frozen=True, slots=True)
class Consistency:
    """How far data are from their deconvolution, put back through the resolution.

    ``residual`` and ``noise``: ‖residual‖ and ‖σ‖ of the data over ‖data‖; ``noise`` None where the errors
    are not known. ``through`` says what it was put back through.
    """

    residual: float
    noise: float | None
    through: str

    @property
    def words(self) -> str:
        """One sentence."""
        start = f"put back through {self.through}, the result leaves {100 * self.residual:.0f} % of the data"
        if self.noise is None:
            return f"{start}; their errors are not known"
        side = "no more than" if self.residual <= 1.1 * self.noise else "more than"
        return f"{start}, {side} their noise ({100 * self.noise:.0f} %)"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What is known of a measurement; ``missing`` says of each part that is None why."""

    name: str
    measured: Histogram
    model: Model
    check: DomainReport | None = None
    inside: Floats | None = None
    readings: Mapping[str, Classification] = field(default_factory=dict)
    separated: Translation | None = None
    lost: LostIntensity | None = None
    consistency: Consistency | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Mosaic, volume, slice or cut."""
        sizes = sum(axis.size > 1 for axis in self.measured.axes)
        return "mosaic" if is_mosaic(self.measured) else KINDS.get(max(sizes, 1), "volume")

    @property
    def answer(self) -> str:
        """The answer in one sentence."""
        about = [_verdict_words(self.check, self.model.card.name), _class_words(self.readings)]
        sharp = [] if self.separated is None else [f"deconvolved by {self.deconvolved_by}"]
        if self.lost is not None and self.lost.total is not None:
            sharp.append(f"{100 * self.lost.total:.0f} % of the intensity is taken out")
        if self.consistency is not None:
            sharp.append(self.consistency.words)
        first = f"This {self.kind} " + " and ".join(filter(None, about))
        return f"{first}; {'; '.join(sharp) or 'it could not be deconvolved'}."

    @property
    def deconvolved_by(self) -> str:
        """The method or model of the deconvolution."""
        if self.separated is None:
            return ""
        entry = self.separated.histogram.metadata["history"][-1]
        options = entry.get("options")
        method = options.get("method") if isinstance(options, Mapping) else None
        return str(entry.get("model") or method or entry.get("command", ""))


def examine(
    histogram: Histogram,
    name: str,
    *,
    model: str | os.PathLike[str] | None = None,
    method: Method = "auto",
    options: Mapping[str, Any] | None = None,
) -> Findings:
    """Ask everything of a measurement; ``options`` are those of `application.deconvolve.separate`."""
    options = dict(options or {})
    tell = options.get("progress") or (lambda done, total, text: None)
    tell(0, 1, "compare with the training data")
    loaded = load_model(model or DEFAULT_MODEL)
    missing: dict[str, str] = {}
    taken_by_model = {f.name for f in fields(TranslationOptions)}
    answers: dict[str, Any] = {}
    try:
        prepared = loaded.prepare(histogram, **{k: v for k, v in options.items() if k in taken_by_model})
        answers = {
            "check": loaded.check_domain(prepared),
            "inside": in_domain_scores(prepared),
            "readings": _readings(loaded, prepared, missing),
        }
    except Exp2SimError as error:
        missing["check"] = f"The model {loaded.card.name} does not take the data: {error}"
    tell(0, 1, "deconvolve")
    try:
        separated = separate(histogram, method=method, model=model, **options)
    except Exp2SimError as error:
        missing["deconvolution"] = str(error)
        return Findings(name, histogram, loaded, missing=missing, **answers)
    return Findings(
        name,
        histogram,
        loaded,
        separated=separated,
        lost=lost_intensity(histogram, separated.histogram),
        consistency=consistency(histogram, separated),
        missing=missing,
        **answers,
    )


def _readings(model: Model, prepared: Any, missing: dict[str, str]) -> dict[str, Classification]:
    """What the classifiers say of the data as they are, and deconvolved."""
    if not model.card.classifiers:
        missing["correlations"] = f"The model {model.card.name} has no classifier."
        return {}
    readings = {}
    for name, deconvolve in (("as measured", False), ("deconvolved", True)):
        try:
            readings[name] = model.classify(prepared, deconvolve=deconvolve)
        except Exp2SimError as error:
            missing["correlations"] = str(error)
    return readings


def consistency(histogram: Histogram, separated: Translation) -> Consistency | None:
    """Compare the residual of a deconvolution with the errors of the data."""
    if separated.residual is None:
        return None
    good = ~histogram.mask & ~separated.residual.mask
    size = float(np.linalg.norm(histogram.intensity[good]))
    if not size > 0:
        return None
    variance = histogram.variance[good]
    noise = float(np.sqrt(variance.sum())) / size if (variance > 0).any() else None
    residual = float(np.linalg.norm(separated.residual.intensity[good])) / size
    return Consistency(residual, noise, separated.put_back_through)


def _verdict_words(check: DomainReport | None, model: str) -> str:
    if check is None:
        return f"is not of the kind that the model {model} takes"
    p_value = "" if check.p_value is None else f" (p = {check.p_value:.2g})"
    return {
        "trustworthy": f"is like what the model {model} was trained on{p_value}",
        "expert opinion": f"is rare among what the model {model} was trained on{p_value}",
        "untrustworthy": f"is unlike what the model {model} was trained on{p_value}",
    }.get(check.verdict, f"cannot be compared with what the model {model} was trained on")


def _class_words(readings: Mapping[str, Classification]) -> str:
    predictions = {name: reading.prediction for name, reading in readings.items()}
    if not predictions:
        return ""
    if len(set(predictions.values())) == 1:
        prediction = next(iter(predictions.values()))
        return "shows no class of the model" if prediction == "none" else f"shows {prediction}"
    return "reads as " + " and ".join(f"{value} {name}" for name, value in predictions.items())
