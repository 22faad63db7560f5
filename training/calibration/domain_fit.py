"""Fit what a reference of the domain check is made of: directions, axis, points, and expected errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.domain.comparison import Comparison
from mantid_exp2sim.domain.detector_gaps import Bits
from mantid_exp2sim.domain.features import Features
from mantid_exp2sim.domain.likeness import CLIP, COLUMNS, FLOOR, TOP, ErrorFit, Reference, spread
from mantid_exp2sim.domain.transport import REGULARISATION, squared_distances
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.training.calibration.spectra import Cuts
from mantid_exp2sim.training.datasets.volumes import Volumes

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Direction


RANK, POINT_RANK, ERROR_RANK = 64, 8, 16
"""Directions of the feature moments, of the feature points, and of the moments that foretell an error."""
POINTS = 256
"""Feature points stored per incident energy."""
RIDGE = 1e-3
SHRINK = 1 / 3
"""Ridge penalty per spectrum of the fit of errors, on features of unit variance."""


def parts_of(comparison: Comparison, features: Features) -> Floats:
    """Return the parts (n, G, Y) of spectra with all incident energies."""
    groups = list(range(features.moments.shape[1]))
    rows = [features[row] for row in range(len(features.moments))]
    reference, aligned = comparison.reference, not comparison.cuts
    return np.stack(
        [reference.parts(row, groups, comparison.regularisation, aligned=aligned) for row in rows]
    )


def joined(parts: Sequence[Features]) -> Features:
    """Join the features of several sets of spectra."""
    arrays: dict[str, Any] = {
        field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Features)
    }
    return Features(**arrays)


def fit_reference(
    train: Features, other: Features, held: Features, energies: Floats, gaps: Bits, rng: np.random.Generator
) -> tuple[Reference, float]:
    """Fit directions, axis and points of a reference, without its ``fit`` and ``calibration``; and ε.

    ``other`` are spectra of the other kind of data, ``gaps`` as `usual_gaps` makes them.
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
        flat.mean(axis=0), point_basis, points, unseen, gaps,
        np.zeros((groups, 3, 0)), np.zeros(groups), empty, empty,
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
    mask, energies = torch.from_numpy(spectra.mask[0].copy()), torch.from_numpy(spectra.energies[0].copy())
    results = []
    with torch.inference_mode():
        for x in torch.split(torch.from_numpy(np.ascontiguousarray(spectra.values)), 8):
            scaled = bundle.card.scaling.forward(x)
            result = translate_volumes(network, scaled, mask, energies, bundle.card.layout)
            results.append(bundle.card.scaling.inverse(result).numpy())
    measured = ~(spectra.mask | truth.mask)
    squares = (np.concatenate(results) - truth.values) ** 2 * measured, truth.values**2 * measured
    wrong, true = squares if cuts is None else map(cuts.of, squares)
    return wrong.sum(axis=(2, 3, 4), dtype=float), true.sum(axis=(2, 3, 4), dtype=float)


def fit_errors(reference: Reference, moments: Floats, wrong: Floats, true: Floats) -> ErrorFit:
    """Fit log(relative L2) of each volume by ridge regression on its features (n, G, D)."""
    reduced = ((moments - reference.center) / reference.scale) @ reference.basis[:, :ERROR_RANK]
    middle, width = reduced.mean(axis=0), reduced.std(axis=0) + 1e-9
    x = np.clip((reduced - middle) / width, -CLIP, CLIP)
    share = np.maximum(wrong, 1e-30) / np.maximum(true, 1e-30)
    y = 0.5 * np.log(np.clip(share, 1e-6, 1.0))  # where the truth is empty the relative error is no number
    level = y.mean(axis=0)
    penalty = SHRINK * len(x) * np.eye(x.shape[2])
    slopes = np.einsum("ngi,ng->gi", x, y - level)[..., None]
    weight = np.linalg.solve(np.einsum("ngi,ngj->gij", x, x) + penalty, slopes)[..., 0]
    return np.stack([middle, width, weight], axis=1), level
