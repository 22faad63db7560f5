"""Fit how sharp the classifiers of a model are: one factor on the length scales of all members.

Each member's length scale was chosen for itself, and the mean of several is less sure than each of them.
As in temperature scaling (Guo et al., ICML 2017) one factor on all length scales of a classifier is chosen by
the negative log likelihood of the classes' shares. An answer changes by it only where members disagree.

Shares do not show how large the correlations themselves are: of classes that are easily told apart any
sharpness fits, and the sharpest would put the domain's own spectra below the threshold of "none". So only
factors count with which these stay above it. The factor stands on the card, and a second choice starts again
from the length scales of the training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.inference.classify import mean_correlations
from mantid_exp2sim.model.bundle import Bundle, save_bundle
from mantid_exp2sim.model.card import Card, DataKind, classifier_role
from mantid_exp2sim.training.calibration.error_model import Conditions, Progress, open_both
from mantid_exp2sim.training.datasets.spectra import Spectra
from mantid_exp2sim.training.trainers.scores import calibration, member_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTORS = tuple(float(f) for f in np.geomspace(0.5, 2.0, 21).round(4))
SOURCES = {"convolved": ("convolved", "measured"), "integrated": ("target",), "centre": ("target",)}
"""What a classifier is calibrated on: measurement-like data without and with noise and background."""
MIN_SHARE = 0.99
"""Share of the spectra that is above the threshold, or that with the training's length scales if smaller."""


def sharpen(
    bundle: str | Path | Bundle,
    dataset: str | Path,
    *,
    conditions: Conditions,
    split: str = "validation",
    progress: Progress | None = None,
) -> Card:
    """Fit the length scales of a model's classifiers on a whole split and write them into the model.

    A classifier of a kind that the data set does not have, or has without labels, stays as it is.
    """
    bundle, data = open_both(bundle, dataset)
    networks = {key: bundle.network(key) for key in bundle.card.weights}
    cards = dict(bundle.card.classifiers)
    for domain, card in cards.items():
        spectra = Spectra(
            data=data,
            target=bundle.card.target if domain == "convolved" else domain,
            indices=data.split(split),
            noise=conditions.noise,
            seed=conditions.seed,
        )
        if spectra.target not in data.description.kinds:
            continue
        distances, scales, label = _distances(bundle, domain, spectra)
        if not len(label):
            continue
        scales /= (card.calibration or {}).get("factor", 1.0)
        factor, figures = best_factor(distances, scales, label, threshold=card.threshold)
        members: list[Any] = bundle.members(classifier_role(domain))
        for network, scale in zip(members, scales, strict=True):
            network.length_scale.fill_(float(scale * factor))
        cards[domain] = card.model_copy(
            update={"calibration": {"spectra": len(label), "factor": factor, **figures}}
        )
        if progress is not None:
            progress(f"classifier {domain}: length scales × {factor:.2f}, ECE {figures['ece']:.3f}")
    changed = bundle.card.model_copy(update={"classifiers": cards})
    return save_bundle(bundle.folder, changed, networks, overwrite=True)


def best_factor(
    distances: NDArray[np.float64],
    scales: NDArray[np.float64],
    label: NDArray[np.int64],
    *,
    threshold: float = 0.5,
) -> tuple[float, dict[str, float]]:
    """Return the factor of the lowest negative log likelihood, and that and the ECE with it.

    ``distances`` (members, n, volumes, classes) to the centroids; ``scales`` (members,); ``label`` (n,);
    ``threshold`` of the correlations.

    >>> rng = np.random.default_rng(0)
    >>> label = rng.integers(0, 2, 500)
    >>> far = np.where(np.arange(2) == label[:, None], 0.01, 0.1)[None, :, None] * np.ones((1, 1, 1, 2))
    >>> best_factor(far, np.array([1.0]), label)[0]  # always right: as sharp as can be
    0.5
    >>> best_factor(far, np.array([0.1]), label)[0]  # correlations of 0.61: not below the threshold
    0.8706
    """
    figures: dict[float, dict[str, float]] = {}
    above: dict[float, float] = {}
    for factor in FACTORS:
        correlations = mean_correlations(distances, scales * factor)
        scores = calibration(correlations, label)
        figures[factor] = {name: float(scores[name]) for name in ("nll", "ece")}
        above[factor] = float((correlations.max(axis=1) >= threshold).mean())
    allowed = [factor for factor in FACTORS if above[factor] >= min(MIN_SHARE, above[1.0])]
    best = min(allowed, key=lambda factor: figures[factor]["nll"])
    return best, figures[best]


def _distances(
    bundle: Bundle, domain: DataKind, spectra: Spectra
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the distances of every spectrum, the members' length scales, and the labels."""
    parts: list[NDArray[np.float64]] = []
    labels: list[Any] = []
    scales: NDArray[np.float64] = np.zeros(0)
    for batch in spectra.batches():
        for source in SOURCES[domain]:
            distances, scales = member_distances(bundle, domain, batch.source(source), spectra.mask)
            parts.append(distances)
            labels.append(batch.label)
    label = np.concatenate(labels)
    return np.concatenate(parts, axis=1)[:, label >= 0], scales, label[label >= 0]
