"""Which spin-wave model the data show, by the distance-aware classifiers of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, IncompleteMosaicError, NotFiniteError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.inference.history import history_entry, history_of
from mantid_exp2sim.inference.prepare import Prepared
from mantid_exp2sim.inference.translate import Progress, translate
from mantid_exp2sim.inference.volumes import Volumes
from mantid_exp2sim.inference.worker import short_waits
from mantid_exp2sim.model.card import Card, ClassifierCard, DataKind, classifier_role

if TYPE_CHECKING:
    import torch

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
    data_kind
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
        Whether the data are inside the domain they are taken for (`DomainReport.to_dict`).
    warnings
        Sentences for the user, where the classifiers disagree or the data are not known to be trustworthy.
    likelihood
        What a fit of the spin models says (`mantid_exp2sim.application.likelihood`), where it was asked for.

    Examples
    --------
    >>> c = Classification({"A": 0.9, "B": 0.2}, "A", 0.9, "integrated", 0.5)
    >>> c.to_dict()["prediction"]
    'A'
    """

    correlations: Mapping[str, float]
    prediction: str
    certainty: float
    data_kind: str
    threshold: float
    deconvolved: bool = False
    history: tuple[Mapping[str, Any], ...] = ()
    second_opinion: Mapping[str, Any] | None = None
    domain_check: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    likelihood: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON; ``likelihood`` only where it was asked for."""
        return {
            "correlations": dict(self.correlations),
            "prediction": self.prediction,
            "certainty": self.certainty,
            "data_kind": self.data_kind,
            "threshold": self.threshold,
            "deconvolved": self.deconvolved,
            "history": [dict(entry) for entry in self.history],
            "second_opinion": self.second_opinion,
            "domain_check": self.domain_check,
            "warnings": list(self.warnings),
            **({} if self.likelihood is None else {"likelihood": dict(self.likelihood)}),
        }


def classify(
    prepared: Prepared, data_kind: str = "auto", *, deconvolve: bool = False, progress: Progress | None = None
) -> Classification:
    """Say how like the training data of each class a histogram is.

    As in the paper, the classifier is by default (``"auto"``) the one trained on simulation-like data
    (``integrated`` or ``centre``), which takes simulated or deconvolved data. The data are taken as they are,
    unless ``deconvolve`` sends them through the generator first. ``"convolved"`` asks the classifier
    trained on measurement-like data, for measurements as they are.

    A classifier of whole mosaics takes nothing less, unless its card says ``partial``. For a classifier of
    single volumes the correlations of a mosaic are the means over its volumes that hold measured bins. Where
    the model has several members of a classifier, the correlations are the means over them too.

    Raises
    ------
    Exp2SimError
        If the model has no such classifier or does not take such data.
    """
    bundle, options = prepared.bundle, prepared.options
    kind = choose_kind(bundle.card, data_kind, deconvolve=deconvolve)
    classifier = bundle.card.classifiers[kind]
    data = deconvolved(prepared, progress) if deconvolve else prepared
    if progress is not None:
        progress(0, 1, "classify")
    values = _correlations(data, kind)
    correlations = {name: float(value) for name, value in zip(bundle.card.classes, values, strict=True)}
    likeliest = max(correlations, key=lambda name: correlations[name])
    settings = {
        "data_kind": kind, "scale": options.scale, "absolute": options.absolute, "factor": prepared.factor,
        "deconvolve": deconvolve, "tile": options.tile,
    }  # fmt: skip
    steps = history_of(data.histogram)[len(history_of(prepared.histogram)) :]
    return Classification(
        correlations=correlations,
        prediction=likeliest if correlations[likeliest] >= classifier.threshold else NONE,
        certainty=correlations[likeliest],
        data_kind=kind,
        threshold=classifier.threshold,
        deconvolved=deconvolve,
        history=(*steps, history_entry(bundle, "classify", None, settings)),
    )


def deconvolved(prepared: Prepared, progress: Progress | None) -> Prepared:
    """Prepare the deconvolution of data for a classifier; it is computed once."""

    def compute() -> Prepared:
        options = replace(prepared.options, uncertainty=False)
        plain = replace(prepared, options=options)
        return prepared.follow(translate(plain, "deconvolve", progress=progress).histogram)

    return prepared.once("deconvolved", compute)


def choose_kind(card: Card, data_kind: str, *, deconvolve: bool) -> DataKind:
    """Choose a classifier by the data it was trained on; ``auto``: that of simulation-like data."""
    available = list(card.classifiers)
    if not available:
        raise Exp2SimError(f"The model {card.name!r} has no classifier.", fix="Use a model that has one.")
    if data_kind == "auto":
        simulated = [kind for kind in (card.target, "integrated", "centre") if kind in available]
        data_kind = (simulated or available)[0]
    if data_kind not in available:
        raise Exp2SimError(
            f"The model {card.name!r} has no classifier for {data_kind!r} data.",
            reason=f"It has {', '.join(available)}.",
            fix="Name one of these, or leave the choice to the model.",
        )
    if deconvolve and data_kind == "convolved":
        raise Exp2SimError(
            "Deconvolved data are not measurement-like.",
            reason="The classifier for 'convolved' data was trained on data with resolution.",
            fix="Leave out one of the two options.",
        )
    return data_kind


def _correlations(prepared: Prepared, data_kind: DataKind) -> Floats:
    """Return the correlations (classes,) of prepared data."""
    networks, scaled, mask, _ = samples(prepared, data_kind)
    distances, scales = class_distances(networks, scaled, mask)
    measured = ~mask.flatten(1).all(1).cpu().numpy()
    values: Floats = mean_correlations(distances, scales)[measured].mean(axis=0)
    if not np.isfinite(values).all():
        raise NotFiniteError(
            "The classifier's result is not finite.",
            reason="The intensities are probably far outside what it was trained on.",
            fix="Check the units of the data, or set `scale` (a factor, or 'auto').",
        )
    return values


def class_distances(
    networks: Sequence[Duq], scaled: torch.Tensor, mask: torch.Tensor, *, batch: int = 32
) -> tuple[Floats, Floats]:
    """Return distances to the centroids (members, n, volumes, classes) and length scales (members,).

    ``scaled`` (n, N, h, k, E) is in the range of the networks; ``mask``, True where not measured, is of that
    shape or (N, h, k, E). To a classifier of whole measurements (N · E panels) a sample is one volume, to
    one of single volumes (E panels) it is N.
    """
    import torch

    from mantid_exp2sim.networks.duq import stack_panels

    mask = mask.expand(scaled.shape)
    if networks[0].settings.panels != scaled.shape[1] * scaled.shape[4]:
        parts = scaled.flatten(0, 1)[:, None], mask.flatten(0, 1)[:, None]
    else:
        parts = scaled, mask
    with short_waits(), torch.inference_mode():
        distances = torch.cat(
            [
                torch.stack(
                    [network.distances(network.embed(stack_panels(x, unknown))) for network in networks]
                )
                for x, unknown in zip(*(torch.split(part, batch) for part in parts), strict=True)
            ],
            1,
        )
    shape = (len(networks), len(scaled), -1, distances.shape[2])
    scales = np.array([float(network.length_scale) for network in networks])
    return distances.reshape(shape).cpu().double().numpy(), scales


def mean_correlations(distances: Floats, scales: Floats) -> Floats:
    """Return correlations (n, classes), the mean over members and volumes.

    Of `class_distances` D with length scales σ: ⟨exp(−D / 2σ²)⟩.

    >>> mean_correlations(np.array([[[[0.0, 2.0]]], [[[0.0, 0.0]]]]), np.array([1.0, 1.0])).round(3)
    array([[1.   , 0.684]])
    """
    squares = 2 * scales[:, None, None, None] ** 2
    correlations: Floats = np.exp(-distances / squares).mean(axis=(0, 2))
    return correlations


def samples(
    prepared: Prepared, data_kind: DataKind
) -> tuple[list[Duq], torch.Tensor, torch.Tensor, list[int]]:
    """Return a classifier's networks, their samples (S, N, h, k, E), scaled, with mask, and places.

    N is the number of volumes that the classifier takes together; the places say where in S · N each volume
    of the data is.
    """
    card, volumes = prepared.bundle.card, prepared.volumes
    networks: list[Duq] = prepared.bundle.members(  # type: ignore[assignment]
        classifier_role(data_kind), prepared.options.device
    )
    import torch  # after the networks, which say so if torch is missing

    intensity, mask, places = grouped(card, card.classifiers[data_kind], volumes)
    scaling = card.classifiers[data_kind].scaling or card.scaling
    with np.errstate(over="ignore"):
        scaled = np.where(mask, 0.0, scaling.forward(intensity * prepared.factor)).astype(np.float32)
    device = prepared.options.device
    return networks, torch.from_numpy(scaled).to(device), torch.tensor(mask, device=device), places


def grouped(card: Card, classifier: ClassifierCard, volumes: Volumes) -> tuple[Floats, Booleans, list[int]]:
    """Return volumes as samples (S, N, h, k, E) of a classifier, their mask, and the place of each in S·N."""
    together = classifier.network.panels // volumes.values.shape[3]
    if together == 1:
        return volumes.intensity[:, None], volumes.mask[:, None], list(range(len(volumes.mask)))
    places = [card.nearest(energy) for energy in volumes.incident_energies]
    if len(places) != together:
        raise IncompleteMosaicError(
            f"The data hold {len(places)} of the incident energies that this classifier takes together.",
            reason=f"It was trained on whole sets of {together}.",
            fix="Give the whole mosaic, or use a model with a classifier for single volumes.",
            expected=together,
            present=len(places),
        )
    shape = (1, together, *volumes.values.shape[1:])
    intensity, mask = np.zeros(shape), np.ones(shape, dtype=bool)
    intensity[0, places], mask[0, places] = volumes.intensity, volumes.mask
    return intensity, mask, places
