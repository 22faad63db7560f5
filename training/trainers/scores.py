"""What classifiers answer, and how good and how honest the answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.classify import class_distances, mean_correlations
from mantid_exp2sim.inference.intensity import level_factors
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import DataKind, classifier_role

if TYPE_CHECKING:
    import torch

    from mantid_exp2sim.networks.duq import Duq

RELIABILITY_BINS = 10


def correlations(bundle: Bundle, data_kind: DataKind, x: torch.Tensor, mask: torch.Tensor) -> Floats:
    """Return the correlations (n, classes) of mosaics (n, Ei, h, k, E) in physical units.

    They are the mean over the members and, of a classifier of single volumes, over the incident energies, as
    `classify` gives.
    """
    return mean_correlations(*member_distances(bundle, data_kind, x, mask))


def member_distances(
    bundle: Bundle, data_kind: DataKind, x: torch.Tensor, mask: torch.Tensor
) -> tuple[Floats, Floats]:
    """Return the distances to the centroids (members, n, volumes, classes) and length scales (members,).

    ``x`` (n, Ei, h, k, E) is in physical units; ``mask`` is True where not measured.
    """
    networks: list[Duq] = bundle.members(classifier_role(data_kind))  # type: ignore[assignment]
    import torch

    card = bundle.card
    energies = np.array(card.incident_energies[: x.shape[1]])
    level = torch.from_numpy(level_factors(card, x.numpy(), mask.numpy(), energies))
    scaling = card.classifiers[data_kind].scaling or card.scaling
    return class_distances(networks, torch.where(mask, 0.0, scaling.forward(x * level)), mask)


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
