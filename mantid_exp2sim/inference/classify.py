"""Which spin-wave model the data show, by the distance-aware classifiers of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.inference.sliding_window import check_tile
from mantid_exp2sim.inference.translate import intensity_factor, translate
from mantid_exp2sim.inference.volumes import Volumes, open_volumes
from mantid_exp2sim.inference.worker import short_waits
from mantid_exp2sim.model.card import Domain, classifier_role

if TYPE_CHECKING:
    from mantid_exp2sim.inference.translate import Progress
    from mantid_exp2sim.model.bundle import Model
    from mantid_exp2sim.model.card import ClassifierCard
    from mantid_exp2sim.networks.duq import Duq

NONE = "none"
"""The prediction where the data are far from every class."""


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What a classifier says of one histogram.

    Parameters
    ----------
    correlations
        Per class a number in [0, 1]: 1 = like the class's training data. They do not add up to 1; all are
        near 0 for data that are like no class.
    prediction
        The class of the highest correlation, or ``"none"`` where that is below ``threshold``.
    certainty
        The highest correlation.
    domain
        What the classifier was trained on: ``convolved``, ``integrated`` or ``centre``.
    threshold
        From the model's card.
    deconvolved
        Whether the data were deconvolved first.
    history
        Model, checksum and options, in JSON.
    second_opinion
        Prediction and correlations of the model's other classifier on the data as they were given, if it has
        one that takes them.
    domain_check
        Whether the data are inside the domain they are taken for (`DomainCheck.to_dict`).
    warnings
        Sentences for the user, where the classifiers disagree or the data are not known to be trustworthy.

    Examples
    --------
    >>> c = Classification({"A": 0.9, "B": 0.2}, "A", 0.9, "integrated", 0.5)
    >>> c.to_dict()["prediction"]
    'A'
    """

    correlations: Mapping[str, float]
    prediction: str
    certainty: float
    domain: str
    threshold: float
    deconvolved: bool = False
    history: tuple[Mapping[str, Any], ...] = ()
    second_opinion: Mapping[str, Any] | None = None
    domain_check: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "correlations": dict(self.correlations),
            "prediction": self.prediction,
            "certainty": self.certainty,
            "domain": self.domain,
            "threshold": self.threshold,
            "deconvolved": self.deconvolved,
            "history": [dict(entry) for entry in self.history],
            "second_opinion": self.second_opinion,
            "domain_check": self.domain_check,
            "warnings": list(self.warnings),
        }


def classify(
    model: Model,
    histogram: Histogram,
    *,
    deconvolve: bool = False,
    domain: Domain | str = "auto",
    tile: int | None = None,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
    progress: Progress | None = None,
) -> Classification:
    """Say how like the training data of each class a histogram is.

    As in the paper, the classifier is by default (``domain="auto"``) the one trained on simulation-like data
    (``integrated`` or ``centre``), which takes simulated or deconvolved data. The data are taken as they are,
    unless ``deconvolve`` sends them through the generator first. ``domain="convolved"`` asks the classifier
    trained on measurement-like data, for measurements as they are.

    A classifier of whole mosaics takes nothing less, unless its card says ``partial``. For a classifier of
    single volumes the correlations of a mosaic are the means over its volumes that hold measured bins. Where
    the model has several members of a classifier, the correlations are the means over them too.

    Parameters
    ----------
    model, histogram, tile, scale, incident_energy, progress
        As in :func:`mantid_exp2sim.inference.translate.translate`.
    deconvolve
        Deconvolve first.
    domain
        ``auto``, ``convolved``, ``integrated`` or ``centre``.

    Raises
    ------
    Exp2SimError
        If the model has no such classifier or does not take such data.
    """
    chosen = choose_domain(model, domain, deconvolve=deconvolve)
    classifier = model.card.classifiers[chosen]
    earlier = histogram.metadata.get("history")
    before = len(earlier) if isinstance(earlier, list) else 0
    data, volumes, factor = classifier_data(
        model,
        histogram,
        deconvolve=deconvolve,
        tile=tile,
        scale=scale,
        incident_energy=incident_energy,
        progress=progress,
    )
    if progress is not None:
        progress(0, 1, "classify")
    correlations = _correlations(model, chosen, classifier, volumes, factor)
    best = max(correlations, key=lambda name: correlations[name])
    entry = _entry(model, chosen, {"scale": scale, "factor": factor, "deconvolve": deconvolve, "tile": tile})
    return Classification(
        correlations=correlations,
        prediction=best if correlations[best] >= classifier.threshold else NONE,
        certainty=correlations[best],
        domain=chosen,
        threshold=classifier.threshold,
        deconvolved=deconvolve,
        history=(*data.metadata.get("history", [])[before:], entry),
    )


def _entry(model: Model, domain: str, options: dict[str, Any]) -> dict[str, Any]:
    from mantid_exp2sim.inference.translate import history_entry

    return history_entry(model, "classify", None, {"domain": domain, **options})


def classifier_data(
    model: Model,
    histogram: Histogram,
    *,
    deconvolve: bool,
    tile: int | None,
    scale: float | str,
    incident_energy: float | None,
    progress: Progress | None,
) -> tuple[Histogram, Volumes, float]:
    """What a classifier reads: the data (deconvolved first, if asked for), their volumes, and the factor that
    takes their intensity to the model's.
    """
    check_tile(tile)
    data, left = histogram, scale
    if deconvolve:
        options = {"tile": tile, "incident_energy": incident_energy, "progress": progress}
        made = translate(model, "deconvolve", histogram, errors=False, scale=scale, **options)  # type: ignore[arg-type]
        data = made.histogram
        left = data.metadata["history"][-1]["options"]["factor"]
    volumes = open_volumes(data, model.card, incident_energy=incident_energy)
    return data, volumes, intensity_factor(left, volumes, model.card)


def choose_domain(model: Model, domain: str, *, deconvolve: bool) -> Domain:
    """The classifier that is meant, by what it was trained on; ``auto``: that of simulation-like data."""
    available = list(model.card.classifiers)
    if not available:
        raise Exp2SimError(
            f"The model {model.card.name!r} has no classifier.", fix="Use a model that has one."
        )
    if domain == "auto":
        simulated = [name for name in (model.card.target, "integrated", "centre") if name in available]
        domain = simulated[0] if simulated else available[0]
    for name in available:
        if name == domain:
            break
    else:
        raise Exp2SimError(
            f"The model {model.card.name!r} has no classifier for {domain!r} data.",
            reason=f"It has {', '.join(available)}.",
        )
    if deconvolve and name == "convolved":
        raise Exp2SimError(
            "Deconvolved data are not measurement-like.",
            reason="The classifier for 'convolved' data was trained on data with resolution.",
            fix="Leave out one of the two options.",
        )
    return name


def _correlations(
    model: Model,
    domain: Domain,
    classifier: ClassifierCard,
    volumes: Volumes,
    factor: float,
) -> dict[str, float]:
    """Correlation per class."""
    members: list[Duq] = model.members(classifier_role(domain))  # type: ignore[assignment]
    import torch  # after the network, which says so if torch is missing

    from mantid_exp2sim.networks.duq import stack_panels

    intensity, mask, _ = grouped(model, classifier, volumes)
    scaling = classifier.scaling or model.card.scaling
    with np.errstate(over="ignore"):
        scaled = np.where(mask, 0.0, scaling.forward(intensity * factor)).astype(np.float32)
    with short_waits(), torch.no_grad():
        panels = stack_panels(torch.from_numpy(scaled), torch.from_numpy(mask.astype(np.float32)))
        each = [network.correlations(network.embed(panels)) for network in members]
        correlations = torch.stack(each).mean(0)
    measured = ~mask.all(axis=(1, 2, 3, 4))
    values = correlations.double().numpy()[measured].mean(axis=0)
    if not np.isfinite(values).all():
        raise Exp2SimError(
            "The classifier's result is not finite.",
            reason="The intensities are probably far outside what it was trained on.",
            fix="Check the units of the data, or set `scale` (a factor, or 'auto').",
        )
    return {name: float(value) for name, value in zip(model.card.classes, values, strict=True)}


def grouped(model: Model, classifier: ClassifierCard, volumes: Volumes) -> tuple[Floats, Any, list[int]]:
    """Volumes as the classifier's samples (S, N, h, k, E), their mask, and where each volume went in S·N."""
    windows = volumes.intensity.shape[3]
    together = classifier.network.panels // windows
    if together == 1:
        return volumes.intensity[:, None], volumes.mask[:, None], list(range(len(volumes.intensity)))
    places = [_nearest(model, energy) for energy in volumes.incident_energies]
    if len(places) != together and not classifier.partial:
        raise Exp2SimError(
            f"The data hold {len(places)} of the incident energies that this classifier takes together.",
            reason=f"It was trained on whole sets of {together}.",
            fix="Give the whole mosaic, or use a model with a classifier for single volumes.",
        )
    shape = (1, together, *volumes.intensity.shape[1:])
    intensity, mask = np.zeros(shape), np.ones(shape, dtype=bool)
    intensity[0, places], mask[0, places] = volumes.intensity, volumes.mask
    return intensity, mask, places


def _nearest(model: Model, energy: float) -> int:
    known = np.asarray(model.card.incident_energies)
    return int(np.argmin(np.abs(known - energy)))
