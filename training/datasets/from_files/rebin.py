"""Bins onto other bins: coarser ones or shifted ones, with the variance and only from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.histogram import Booleans, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """Intensity (mean over a bin), variance (both 0 under the mask) and mask; ``share`` was measured."""

    intensity: Floats
    variance: Floats
    mask: Booleans
    share: Floats
    """Measured share of each bin's volume, 0 to 1."""


def overlaps(source: Floats, target: Floats) -> Floats:
    """Length that each target bin has in common with each source bin, (targets, sources), from their edges.

    >>> overlaps(np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.5])).tolist()
    [[0.5, 0.5]]
    """
    low = np.maximum(source[None, :-1], target[:-1, None])
    high = np.minimum(source[None, 1:], target[1:, None])
    return np.asarray(np.maximum(high - low, 0.0), dtype=np.float64)


def snap(source: Floats, target: Floats, tolerance: float) -> Floats:
    """Source edges, moved onto target edges that are nearer than ``tolerance`` (in the edges' unit).

    >>> snap(np.array([0.0, 1.01, 1.7]), np.array([0.0, 1.0, 2.0]), 0.02).tolist()
    [0.0, 1.0, 1.7]
    """
    nearest = target[np.argmin(np.abs(source[:, None] - target[None, :]), axis=1)]
    moved = np.where(np.abs(nearest - source) <= tolerance, nearest, source)
    return np.asarray(moved if np.all(np.diff(moved) > 0) else source, dtype=np.float64)


def rebin(
    intensity: Floats,
    variance: Floats,
    mask: Booleans,
    edges: Sequence[Floats],
    target: Sequence[Floats],
    *,
    minimum_measured: float = 0.5,
    values: str = "mean",
) -> Binned:
    """Rebin by fractional overlap.

    A source bin i of volume Vᵢ holds the mean intensity Iᵢ, so Iᵢ·Vᵢ counts (with ``values="sum"`` Iᵢ is the
    counts). The part oᵢ of its volume that lies in a target bin brings Iᵢ·oᵢ counts and, as counts do, the
    share oᵢ/Vᵢ of their variance. The target holds Σ Iᵢoᵢ / Σ oᵢ with the variance Σ vᵢVᵢoᵢ / (Σ oᵢ)²; sums
    run over measured bins. So counts and their variances are conserved wherever all parts arrive.
    (Mantid's ``RebinToFractional`` divides variances in this way.)

    ``intensity``, ``variance``, ``mask`` (True = not measured) are arrays of the sizes of ``edges``; the
    result has those of ``target``. A bin whose measured share is below ``minimum_measured`` is masked.

    >>> fine = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> found = rebin(np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4), np.zeros(4, bool), [fine], [fine[::2]])
    >>> found.intensity.tolist(), found.variance.tolist()
    ([2.0, 6.0], [0.5, 0.5])
    """
    measured = ~mask
    volume = _product([np.diff(e) for e in edges])
    content, spread = np.where(mask, 0.0, intensity), np.where(mask, 0.0, variance)
    if values == "sum":
        content, spread = content / volume, spread / volume**2
    parts = [overlaps(axis_edges, other) for axis_edges, other in zip(edges, target, strict=True)]
    counts, errors, filled = (
        _apply(array, parts) for array in (content, spread * volume, measured.astype(np.float64))
    )
    whole = _product([np.diff(e) for e in target])
    share = filled / whole
    hidden = share < minimum_measured * (1 - 1e-9)
    room = np.where(hidden, 1.0, filled)
    result, deviation = counts / room, errors / room**2
    if values == "sum":
        result, deviation = result * whole, deviation * whole**2
    return Binned(np.where(hidden, 0.0, result), np.where(hidden, 0.0, deviation), hidden, share)


def _product(widths: Sequence[Floats]) -> Floats:
    """Volumes of the bins, in the shape of the array."""
    volume: Floats = np.ones(())
    for width in widths:
        volume = volume[..., None] * width
    return volume


def _apply(array: NDArray[np.float64], parts: Sequence[Floats]) -> Floats:
    """Multiply each axis by its matrix (targets, sources)."""
    for axis, part in enumerate(parts):
        array = np.moveaxis(np.tensordot(part, array, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(array)
