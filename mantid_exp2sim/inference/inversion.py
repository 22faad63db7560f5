"""Use a symmetry that holds exactly: (h, k) and (−h, −k) have the same intensity at the same energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.io.axes import integrated_axis
from mantid_exp2sim.mosaic import is_mosaic

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Axis, Histogram
    from mantid_exp2sim.model.card import Card

CENTRED = 1e-3
"""Edges lie about 0 where they do so within this share of a bin."""
OFF = 0.25
"""Data that lie off (h, k) = 0 by more than this share of a bin are not compared with their inversion."""
SMOOTH = 1.0
"""Standard deviation, in bins, of the Gaussian that makes gradients of noisy data."""


def lies_about_0(histogram: Histogram, card: Card) -> bool:
    """Say whether the bins along both momentum axes, or the ranges they are integrated over, lie about 0."""
    if is_mosaic(histogram):
        return True
    places = card.projection.places(histogram.axes)
    axes = [
        place.axis
        if (place := places.get(kind)) is not None
        else integrated_axis(histogram, kind, card.projection)
        for kind in ("h", "k")
    ]
    return all(axis is not None and _is_centred(axis) for axis in axes)


def _is_centred(axis: Axis) -> bool:
    slack = CENTRED * float(axis.widths.min())
    return bool(np.allclose(axis.edges, -axis.edges[::-1], rtol=0, atol=slack))


def mean_with_inversion(values: Floats, mask: Booleans) -> Floats:
    """Average volumes (B, h, k, E) with themselves at (−h, −k), where both were measured (mask False).

    >>> values = np.array([[[[1.0]], [[3.0]], [[5.0]]]])
    >>> mean_with_inversion(values, np.zeros(values.shape, dtype=bool)).ravel().tolist()
    [3.0, 3.0, 3.0]
    """
    partner, hidden = values[:, ::-1, ::-1], mask[:, ::-1, ::-1]
    return np.where(mask | hidden, values, 0.5 * (values + partner))


def offset(values: Floats, mask: Booleans) -> Floats:
    """Estimate by how many bins of h and k a spectrum lies off (h, k) = 0, (2,).

    To first order the antisymmetric part of f(r − d), f symmetric, is −d · ∇f: a least-squares fit over the
    bins that were measured at both places. ``values`` (B, h, k, E).

    >>> h = np.arange(40) - 19.5
    >>> bump = np.exp(-((h[:, None] - 0.5) ** 2 + h[None] ** 2) / 50)[None, :, :, None]
    >>> offset(bump, np.zeros(bump.shape, dtype=bool)).round(1).tolist()
    [0.5, 0.0]
    """
    both = ~(mask | mask[:, ::-1, ::-1])
    size = float(np.abs(values[both]).mean()) if both.any() else 0.0
    if not size > 0 or min(values.shape[1:3]) < 3:
        return np.zeros(2)
    curved = np.where(both, np.arcsinh(values / size), 0.0)  # bright spots count no more than their gradients
    partner = curved[:, ::-1, ::-1]
    weight = gaussian_filter(both.astype(float), (0, SMOOTH, SMOOTH, 0))
    mean, odd = (
        gaussian_filter(0.5 * part, (0, SMOOTH, SMOOTH, 0)) / np.maximum(weight, 1e-6)
        for part in (curved + partner, curved - partner)
    )
    inside = both & (weight > 0.5)
    gradients = np.stack([-np.gradient(mean, axis=axis)[inside] for axis in (1, 2)], axis=1)
    off, *_ = np.linalg.lstsq(gradients, odd[inside], rcond=None)
    return np.asarray(off)
