"""Fit what a reference of the domain check is made of: directions, axis, points, and expected errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.domain.comparison import Comparison
from mantid_exp2sim.domain.features import Features
from mantid_exp2sim.domain.likeness import (
    COLUMNS,
    FLOOR,
    LEAST_ERROR,
    MOST_ERROR,
    TOP,
    ErrorFit,
    Reference,
    spread,
)
from mantid_exp2sim.domain.transport import REGULARISATION, squared_distances
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.intensity import level_factors
from mantid_exp2sim.training.calibration.spectra import Cuts
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Direction


RANK, POINT_RANK = 64, 8
"""Directions of the feature moments, and of the feature points."""
POINTS = 256
"""Feature points stored per incident energy."""
RIDGE = 1e-3
SHRINK = 1e-3
"""Ridge penalty per spectrum of the fit of errors, on features of unit variance."""


def parts_of(comparison: Comparison, features: Features) -> Floats:
    """Return the parts (n, G, Y) of spectra with all incident energies."""
    groups = list(range(features.moments.shape[1]))
    rows = [features[row] for row in range(len(features.moments))]
    reference = comparison.reference
    return np.stack([reference.parts(row, groups, comparison.regularisation) for row in rows])


def joined(parts: Sequence[Features]) -> Features:
    """Join the features of several sets of spectra."""
    arrays: dict[str, Any] = {
        field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Features)
    }
    return Features(**arrays)


def fit_reference(
    train: Features, other: Features, held: Features, energies: Floats, rng: np.random.Generator
) -> tuple[Reference, float]:
    """Fit directions, axis and points of a reference, without its ``fit`` and ``calibration``; and ε.

    ``other`` are spectra of the other kind of data.
    """
    n, groups, size = train.moments.shape
    center, scale = train.moments.mean(axis=0), train.moments.std(axis=0) + RIDGE
    z, foreign = ((f.moments - center) / scale for f in (train, other))
    rank = max(min(RANK, size, n // 4), TOP + 1)
    _, vectors = np.linalg.eigh(np.einsum("ngi,ngj->ij", z, z))
    basis = vectors[:, ::-1][:, :rank]
    reduced, away = z @ basis, foreign @ basis
    white, axis = np.empty((groups, basis.shape[1], basis.shape[1])), np.empty((groups, basis.shape[1]))
    for g in range(groups):
        covariance = np.cov(reduced[:, g].T)
        values, vectors = np.linalg.eigh(covariance)
        white[g] = (vectors / np.sqrt(np.maximum(values, 0) + RIDGE))[:, ::-1]
        both = covariance + np.cov(away[:, g].T) + 20 * RIDGE * np.eye(len(covariance))
        axis[g] = np.linalg.solve(both, away[:, g].mean(axis=0) - reduced[:, g].mean(axis=0))
    lead = 3 * np.arcsinh(np.einsum("ngi,gij->ngj", reduced, white)[..., :TOP] / 3)
    joint = np.cov(lead.reshape(n, -1).T) + 0.01 * np.eye(groups * TOP)
    flat = train.points.reshape(-1, train.points.shape[-1])
    values, vectors = np.linalg.eigh(np.cov(flat.T) + 1e-12 * np.eye(flat.shape[1]))
    point_basis = (vectors / np.sqrt(values + 1e-4 * values.max()))[:, ::-1][:, :POINT_RANK]
    points, unseen = (
        np.stack([(_draw(f.points[:, g], rng) - flat.mean(axis=0)) @ point_basis for g in range(groups)])
        for f in (train, held)
    )
    empty = np.zeros((1, groups, COLUMNS))
    reference = Reference(
        energies, center, scale, basis, white, axis, np.zeros((groups, 3)), np.zeros(groups), joint,
        flat.mean(axis=0), point_basis, points, unseen,
        np.zeros((groups, 0)), np.zeros(groups), empty, empty,
    )  # fmt: skip
    count = train.points.shape[2]
    typical = np.median([squared_distances(p[:count], p[count:]) for p in points])
    return reference, REGULARISATION * max(float(typical), FLOOR)


def _draw(points: Floats, rng: np.random.Generator) -> Floats:
    flat = points.reshape(-1, points.shape[-1])
    return flat[rng.choice(len(flat), POINTS, replace=len(flat) < POINTS)]


def bend_of(reference: Reference, features: Features) -> tuple[Floats, Floats]:
    """Fit how the residual grows with the reach in each group: parabolas (G, 3), and where they end (G,)."""
    groups = features.moments.shape[1]
    bend, ends = np.zeros((groups, 3)), np.zeros(groups)
    for g in range(groups):
        y, _ = reference.reduce(features.moments[:, g], [g] * len(features.moments))
        reach, residual = spread(y)
        design = np.stack([np.ones_like(reach), reach, reach**2], axis=1)
        bend[g] = np.linalg.lstsq(design, residual, rcond=None)[0]
        ends[g] = np.quantile(reach, 0.99)
    return bend, ends


def squared_errors(
    bundle: Bundle, direction: Direction, spectra: Volumes, truth: Volumes, *, cuts: Cuts | None = None
) -> tuple[Floats, Floats]:
    """Return Σ (translated − truth)² and Σ truth² over measured bins of each volume, or cut: (n, G) both."""
    import torch

    from mantid_exp2sim.training.trainers.validation import translate_volumes

    network: Any = bundle.network(direction)
    energies = torch.from_numpy(spectra.energies[0].copy())
    level = level_factors(bundle.card, spectra.values, spectra.mask, spectra.energies)
    tensors = (torch.from_numpy(np.ascontiguousarray(a)) for a in (spectra.values, spectra.mask, level))
    results = []
    with torch.inference_mode():
        for x, mask, factor in zip(*(torch.split(tensor, 8) for tensor in tensors), strict=True):
            scaled = bundle.card.scaling.forward(x * factor)
            result = translate_volumes(network, scaled, mask, energies, bundle.card.layout)
            results.append((bundle.card.scaling.inverse(result) / factor).numpy())
    measured = ~(spectra.mask | truth.mask)
    squares = (np.concatenate(results) - truth.values) ** 2 * measured, truth.values**2 * measured
    wrong, true = squares if cuts is None else map(cuts.of, squares)
    return wrong.sum(axis=(2, 3, 4), dtype=float), true.sum(axis=(2, 3, 4), dtype=float)


def fit_errors(
    reference: Reference, moments: Floats, wrong: Floats, true: Floats, *, apart: bool = False
) -> ErrorFit:
    """Fit the logarithm of the relative L2 of spectra by ridge regression on their features (n, G, D).

    ``wrong`` and ``true`` (n, G) are Σ (translated − truth)² and Σ truth². ``apart``: the volumes of a
    spectrum are single data, each with an error of its own.
    """
    groups = list(range(moments.shape[1]))
    z = reference.standardised(moments, groups)
    if apart:
        fits = [_ridge(z[:, [g]], _logarithm(wrong[:, g], true[:, g])) for g in groups]
        return np.concatenate([weights for weights, _ in fits]), np.concatenate([level for _, level in fits])
    return _ridge(z, _logarithm(wrong.sum(axis=1), true.sum(axis=1)))


def _logarithm(wrong: Floats, true: Floats) -> Floats:
    """Return the logarithm of the relative L2; where the truth is empty it is no number, and cut."""
    share = np.maximum(wrong, 1e-30) / np.maximum(true, 1e-30)
    return np.asarray(0.5 * np.log(np.clip(share, LEAST_ERROR**2, MOST_ERROR**2)))


def _ridge(z: Floats, y: Floats) -> ErrorFit:
    """Fit y (n,) by features z (n, G, D): weights (G, D) and levels (G,), whose means over G add up to y."""
    n, groups, size = z.shape
    middle = z.mean(axis=0)
    x = (z - middle).reshape(n, -1) / np.sqrt(groups * size)
    dual = np.linalg.solve(x @ x.T + SHRINK * n * np.eye(n), y - y.mean())
    weights = (dual @ x).reshape(groups, size) * np.sqrt(groups / size)
    level = y.mean() - (weights * middle).sum(axis=1).mean()
    return weights, np.full(groups, level)
