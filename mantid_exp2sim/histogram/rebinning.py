"""Bins onto other bins: coarser ones or shifted ones, with the variance and only from what was measured.

The intensity is a density: that of a wider bin is the mean over it, not the sum. A bin counts as measured
where at least the share `MINIMUM_MEASURED` of it was, and its intensity is the mean over that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.axis import Axis, Booleans, Floats
from mantid_exp2sim.histogram.uncertainty import find_spoiling

MINIMUM_MEASURED = 0.5
"""Share of a bin that must have been measured, where nothing else is asked for."""
SAME_EDGE = 1e-3
"""Edges count as the same where they differ by less than this share of the narrowest bin."""
MAX_BINS = 1_000_000
_INTEGRATED = {"h": "[H,0,0]", "k": "[0,K,0]", "l": "[0,0,L]", "energy": "DeltaE"}
"""How the metadata ``integrated`` names the axes that a model asks for."""
_UNITS = {"r.l.u.", "rlu", "", "mev", "deltae"}


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
    minimum_measured: float = MINIMUM_MEASURED,
    values: str = "mean",
) -> Binned:
    """Rebin by fractional overlap.

    A source bin i of volume Vᵢ holds the mean intensity Iᵢ, so Iᵢ·Vᵢ counts (with ``values="sum"`` Iᵢ is the
    counts). The part oᵢ of its volume that lies in a target bin brings Iᵢ·oᵢ counts and, as counts do, the
    share oᵢ/Vᵢ of their variance. The target holds Σ Iᵢoᵢ / Σ oᵢ with the variance Σ vᵢVᵢoᵢ / (Σ oᵢ)²; sums
    run over measured bins. So counts and their variances are conserved wherever all parts arrive.
    (Mantid's ``RebinToFractional`` divides variances in this way.)

    ``intensity``, ``variance``, ``mask`` (True = not measured) are arrays of the sizes of ``edges``; the
    result has those of ``target``. Further axes of the arrays stay as they are. A bin whose measured share is
    below ``minimum_measured`` is masked. One with a part whose error is not known has the variance 0
    (:mod:`mantid_exp2sim.histogram.uncertainty`).

    >>> fine = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> binned = rebin(np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4), np.zeros(4, bool), [fine], [fine[::2]])
    >>> binned.intensity.tolist(), binned.variance.tolist()
    ([2.0, 6.0], [0.5, 0.5])
    """
    measured = ~mask
    others = mask.ndim - len(edges)
    volume = _product([np.diff(e) for e in edges], others)
    content, spread = np.where(mask, 0.0, intensity), np.where(mask, 0.0, variance)
    if values == "sum":
        content, spread = content / volume, spread / volume**2
    parts = [overlaps(axis_edges, other) for axis_edges, other in zip(edges, target, strict=True)]
    counts, errors, filled = (
        _apply(array, parts) for array in (content, spread * volume, measured.astype(np.float64))
    )
    whole = _product([np.diff(e) for e in target], others)
    share = filled / whole
    hidden = share < minimum_measured * (1 - 1e-9)
    room = np.where(hidden, 1.0, filled)
    result, deviation = counts / room, errors / room**2
    if values == "sum":
        result, deviation = result * whole, deviation * whole**2
    spoiling = find_spoiling(intensity, variance, mask)
    if spoiling.any():
        deviation = np.where(_apply(spoiling.astype(np.float64), parts) > 1e-9 * whole, 0.0, deviation)
    return Binned(np.where(hidden, 0.0, result), np.where(hidden, 0.0, deviation), hidden, share)


def _product(widths: Sequence[Floats], others: int) -> Floats:
    """Volumes of the bins, in the shape of the array, with a 1 for each other axis."""
    volume: Floats = np.ones(())
    for width in widths:
        volume = volume[..., None] * width
    return volume.reshape(volume.shape + (1,) * others)


def _apply(array: NDArray[np.float64], parts: Sequence[Floats]) -> Floats:
    """Multiply each axis by its matrix (targets, sources)."""
    for axis, part in enumerate(parts):
        array = np.moveaxis(np.tensordot(part, array, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(array)


def regular_edges(axis: Axis, width: float, low: float | None = None, high: float | None = None) -> Floats:
    """Return edges of bins of one width from ``low`` on; the last bin reaches ``high`` or beyond it.

    Without ``low`` and ``high`` they are the ends of the axis.

    Raises
    ------
    Exp2SimError
        If the bins would be finer than those of the axis, miss it, or are no bins at all.

    Examples
    --------
    >>> regular_edges(Axis("DeltaE", np.arange(6.0)), 2.0)
    array([0., 2., 4., 6.])
    """
    start = float(axis.edges[0] if low is None else low)
    stop = float(axis.edges[-1] if high is None else high)
    if not np.all(np.isfinite([start, width, stop])) or width <= 0 or stop <= start:
        raise Exp2SimError(
            f"{start:g},{width:g},{stop:g} are no bins of the axis {axis.name!r}.",
            reason="They are the lower end, the width and the upper end.",
            fix="Give finite numbers, a width above 0 and the lower end first.",
        )
    _check_common(axis, start, stop)
    if width < (1 - 2 * SAME_EDGE) * axis.widths.min():
        raise _too_fine(axis, width, float(axis.widths.min()))
    if (stop - start) / width > MAX_BINS:
        raise Exp2SimError(
            f"The axis {axis.name!r} would have {(stop - start) / width:.3g} bins.",
            fix="Give wider bins, or a shorter range.",
        )
    count = max(1, int(np.ceil((stop - start) / width - SAME_EDGE)))
    edges = start + width * np.arange(count + 1.0)
    source = match_edges(axis.edges, edges)
    widest = np.where(overlaps(source, edges) > 0, axis.widths, 0.0).max(axis=1)
    if np.any(width < (1 - 2 * SAME_EDGE) * widest):
        raise _too_fine(axis, width, float(widest.max()))
    return np.asarray(edges, dtype=np.float64)


def range_edges(axis: Axis, low: float, high: float, *, keep: bool) -> Floats:
    """Return the edges of the part of an axis from ``low`` to ``high``: of its bins, or of one bin.

    What lies outside the axis is left out.

    >>> axis = Axis("DeltaE", np.arange(6.0))
    >>> range_edges(axis, 1.5, 4.0, keep=True), range_edges(axis, 1.5, np.inf, keep=False)
    (array([1.5, 2. , 3. , 4. ]), array([1.5, 5. ]))
    """
    if not low < high:
        raise Exp2SimError(
            f"{low:g},{high:g} is no range of the axis {axis.name!r}.",
            fix="Give two numbers, the lower end first.",
        )
    _check_common(axis, low, high)
    ends = np.clip([low, high], axis.edges[0], axis.edges[-1])
    slack = SAME_EDGE * float(axis.widths.min())
    inner = axis.edges[(axis.edges > ends[0] + slack) & (axis.edges < ends[1] - slack)]
    return np.array([ends[0], *(inner if keep else ()), ends[1]])


def read_numbers(axis: Axis, value: npt.ArrayLike, counts: Sequence[int], what: str) -> list[float]:
    """Return numbers for an axis, as many as one of ``counts`` says; ``what`` says in words what they are."""
    try:
        numbers = [float(number) for number in np.ravel(value)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in counts:
        raise Exp2SimError(f"{value!r} cannot be used for the axis {axis.name!r}.", fix=f"Give {what}.")
    return numbers


def match_edges(source: Floats, target: Floats) -> Floats:
    """Return source edges, moved onto target edges that count as the same."""
    return snap(source, target, SAME_EDGE * float(min(np.diff(source).min(), np.diff(target).min())))


def _check_common(axis: Axis, low: float, high: float) -> None:
    first, last = axis.edges[[0, -1]]
    if high <= first or low >= last:
        raise Exp2SimError(
            f"The axis {axis.name!r} has no bin from {low:g} to {high:g}.",
            reason=f"It goes from {first:g} to {last:g} {axis.unit}.".replace(" .", "."),
            fix="Give a range that the data have.",
        )


def _too_fine(axis: Axis, width: float, widest: float) -> Exp2SimError:
    return Exp2SimError(
        f"The axis {axis.name!r} has bins {widest:g} wide; {width:g} is finer.",
        reason="Finer bins cannot be made from coarser ones.",
        fix="Give wider bins, or bin the events anew.",
    )


def integrated_name(axis: Axis) -> str:
    """Return the name of an axis that goes: that of what it measures, in the usual unit."""
    if axis.unit.strip().lower() not in _UNITS:
        return axis.name if axis.kind is None else f"{axis.name} in {axis.unit}"
    return _INTEGRATED.get(axis.kind or "", axis.name)
