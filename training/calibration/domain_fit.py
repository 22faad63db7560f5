"""The directions, the axis and the points that a reference of the domain check is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.check import Gauge
from mantid_exp2sim.domain.detector_gaps import Bits
from mantid_exp2sim.domain.features import Features
from mantid_exp2sim.domain.likeness import COLUMNS, FLOOR, TOP, Reference, spread
from mantid_exp2sim.domain.transport import REGULARISATION, squared_distances

Floats: TypeAlias = NDArray[np.float64]

RANK, POINT_RANK = 64, 8
"""Directions kept of the feature moments, and of the feature points."""
KEPT = 256
"""Feature points kept per incident energy."""
RIDGE = 1e-3


def parts_of(gauge: Gauge, features: Features) -> Floats:
    """Parts (n, G, Y) of spectra with all incident energies."""
    groups = list(range(features.moments.shape[1]))
    rows = [features[row] for row in range(len(features.moments))]
    reference, aligned = gauge.reference, not gauge.cuts
    return np.stack([reference.parts(row, groups, gauge.regularisation, aligned=aligned) for row in rows])


def joined(parts: Sequence[Features]) -> Features:
    """Features of several sets of spectra as one."""
    arrays: dict[str, Any] = {
        field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Features)
    }
    return Features(**arrays)


def fit_reference(
    train: Features, other: Features, held: Features, energies: Floats, gaps: Bits, rng: np.random.Generator
) -> tuple[Reference, float]:
    """Directions, axis and points of a reference, without its ``fit`` and ``calibration``; and ε.

    ``other`` are spectra of the other domain, ``gaps`` as `usual_gaps` makes them.
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
        values, own = np.linalg.eigh(covariance)
        white[g] = (own / np.sqrt(np.maximum(values, 0) + RIDGE))[:, ::-1]
        both = covariance + np.cov(away[:, g].T) + 20 * RIDGE * np.eye(len(covariance))
        axis[g] = np.linalg.solve(both, away[:, g].mean(axis=0) - reduced[:, g].mean(axis=0))
    lead = 3 * np.arcsinh(np.einsum("ngi,gij->ngj", reduced, white)[..., :TOP] / 3)
    joint = np.cov(lead.reshape(n, -1).T) + 0.01 * np.eye(groups * TOP)
    flat = train.points.reshape(-1, train.points.shape[-1])
    values, own = np.linalg.eigh(np.cov(flat.T) + 1e-12 * np.eye(flat.shape[1]))
    point_basis = (own / np.sqrt(values + 1e-4 * values.max()))[:, ::-1][:, :POINT_RANK]
    points, unseen = (
        np.stack([(_some(f.points[:, g], rng) - flat.mean(axis=0)) @ point_basis for g in range(groups)])
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


def _some(points: Floats, rng: np.random.Generator) -> Floats:
    flat = points.reshape(-1, points.shape[-1])
    return flat[rng.choice(len(flat), KEPT, replace=len(flat) < KEPT)]


def bend_of(reference: Reference, features: Features) -> tuple[Floats, Floats]:
    """How the residual grows with the reach in each group, quadratically: (G, 3), and where it ends (G,)."""
    groups = features.moments.shape[1]
    bend, ends = np.zeros((groups, 3)), np.zeros(groups)
    for g in range(groups):
        y, _ = reference.reduce(features.moments[:, g], [g] * len(features.moments))
        reach, residual = spread(y)
        design = np.stack([np.ones_like(reach), reach, reach**2], axis=1)
        bend[g] = np.linalg.lstsq(design, residual, rcond=None)[0]
        ends[g] = np.quantile(reach, 0.99)
    return bend, ends
