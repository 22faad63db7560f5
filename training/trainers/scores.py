"""What classifiers answer, and how good and how honest the answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import classifier_role

if TYPE_CHECKING:
    import torch

RELIABILITY_BINS = 10


def correlations(
    model: Bundle, domain: str, x: torch.Tensor, mask: torch.Tensor, *, member: int | None = None
) -> Floats:
    """Correlations (n, classes) of mosaics (n, Ei, h, k, E) in physical units: the mean over the members, or
    of one alone (numbers beyond the last begin again).

    Of a classifier of single volumes: the mean over the incident energies, as `classify` gives.
    """
    return mean_correlations(*member_distances(model, domain, x, mask, member=member))


def mean_correlations(distances: Floats, scales: Floats) -> Floats:
    """Correlations (n, classes), the mean over members and volumes.

    ``distances`` (members, n, volumes, classes) to the centroids; ``scales`` (members,) are length scales.

    >>> mean_correlations(np.array([[[[0.0, 2.0]]], [[[0.0, 0.0]]]]), np.array([1.0, 1.0])).round(3)
    array([[1.   , 0.684]])
    """
    squares = 2 * scales[:, None, None, None] ** 2
    means: Floats = np.exp(-distances / squares).mean(axis=(0, 2))
    return means


def member_distances(
    model: Bundle, domain: str, x: torch.Tensor, mask: torch.Tensor, *, member: int | None = None
) -> tuple[Floats, Floats]:
    """Distances to the centroids (members, n, volumes, classes) and the length scales (members,).

    ``x`` (n, Ei, h, k, E) in physical units; a classifier of whole mosaics has one volume.
    """
    import torch

    from mantid_exp2sim.networks.duq import stack_panels

    members: list[Any] = model.members(classifier_role(domain))  # type: ignore[arg-type]
    if member is not None:
        members = [members[member % len(members)]]
    card = model.card.classifiers[domain]  # type: ignore[index]
    scaling = card.scaling or model.card.scaling
    whole = card.network.panels == x.shape[1] * x.shape[4]
    distances = []
    with torch.inference_mode():
        for part in torch.split(x, 32):
            scaled = torch.where(mask, 0.0, scaling.forward(part))
            unknown = mask.float().expand_as(scaled)
            if whole:
                stacked = stack_panels(scaled, unknown)
            else:
                stacked = stack_panels(*(tensor.flatten(0, 1)[:, None] for tensor in (scaled, unknown)))
            batch = torch.stack([network.distances(network.embed(stacked)) for network in members])
            distances.append(batch.reshape(len(members), len(part), -1, batch.shape[2]))
    scales = np.array([float(network.length_scale) for network in members])
    return torch.cat(distances, 1).double().numpy(), scales


def calibration(answers: Floats, label: NDArray[np.int64]) -> dict[str, Any]:
    """NLL, ECE, AUROC and the reliability curve of correlations (n, classes).

    A class's probability is its share of the correlations. ``ece`` is of the largest share,
    ``ece_correlation`` of the largest correlation itself; in 10 bins of equal width. ``auroc`` is the mean
    over the classes, each against the others, of their shares.
    """
    shares = (answers + 1e-6) / (answers + 1e-6).sum(axis=1, keepdims=True)
    right = answers.argmax(axis=1) == label
    curve = reliability(shares.max(axis=1), right)
    areas = [area_under_curve(shares[label == c, c], shares[label != c, c]) for c in range(answers.shape[1])]
    defined = [area for area in areas if area is not None]
    return {
        "nll": float(-np.log(shares[np.arange(len(label)), label]).mean()),
        "ece": expected_error(curve),
        "ece_correlation": expected_error(reliability(answers.max(axis=1), right)),
        "auroc": float(np.mean(defined)) if defined else None,
        "reliability": curve,
    }


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Mean confidence, accuracy and share of the samples of each bin that has any."""
    place = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return [
        {
            "confidence": float(confidence[place == b].mean()),
            "accuracy": float(right[place == b].mean()),
            "share": float((place == b).mean()),
        }
        for b in np.unique(place)
    ]


def expected_error(curve: list[dict[str, float]]) -> float:
    """The expected calibration error of a reliability curve.

    >>> expected_error([{"confidence": 0.9, "accuracy": 0.8, "share": 1.0}])
    0.1
    """
    return round(sum(b["share"] * abs(b["confidence"] - b["accuracy"]) for b in curve), 12)


def area_under_curve(positive: ArrayLike, negative: ArrayLike) -> float | None:
    """AUROC: the chance that a positive's score is above a negative's, ties counted half.

    >>> area_under_curve([0.9, 0.4], [0.1, 0.5])
    0.75
    """
    from scipy.stats import rankdata

    above, below = np.ravel(positive), np.ravel(negative)
    if not above.size or not below.size:
        return None
    ranks = rankdata(np.concatenate([above, below]))[: above.size]
    return float((ranks.sum() - above.size * (above.size + 1) / 2) / (above.size * below.size))
