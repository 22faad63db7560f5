"""A Gaussian blur of binned data whose covariance changes from bin to bin, as a linear operator of numpy.

Each bin's value is a weighted mean of the bins around it. The weights are those of the local Gaussian,
integrated over both bins: exactly along the first axis, and along each further axis for the mean deviation
that the axes before it tell, so that widths and correlations are those of the covariance. They are computed
at a few nodes along each axis and interpolated in between, or at every bin where bins differ in width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import erf

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats

Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Covariances = Callable[[list[Floats]], Floats]
"""From centres along each axis to the covariance at each of their combinations, (n0, n1, …, d, d)."""

FILLED = 0.65
"""Share of a bin, along each axis, over which its content is spread before it is blurred.

What a bin holds lies somewhere inside it: spread over all of it, a narrow line would be blurred twice."""
FWHM = float(np.sqrt(8 * np.log(2)))
"""Of a Gaussian, in standard deviations."""
NODES = 9
"""Along each axis of equal bins."""
REACH = 3.7
"""Standard deviations beyond which the weight is taken for 0."""
NEGLIGIBLE = 0.005
"""Sum of the weights of the neighbours that are left out."""
TOGETHER = 5
"""Arrays from which on the matrix is quicker for all of them at once."""
LARGEST = 2_000_000_000
"""Bytes of the matrix that are the most that is computed."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalBlur:
    """The blur of one histogram's bins. Built by `local_blur`.

    ``matrix`` is sparse, float32 (bins, bins): what each target takes of each source, with a sum of about 1
    where all sources are inside. Arrays may have more axes in front.
    """

    shape: tuple[int, ...]
    matrix: Any

    def spread(self, x: Singles) -> Singles:
        """Compute the weighted sums over what is inside: K x."""
        return self._apply(self.matrix, x)

    def gather(self, y: Singles) -> Singles:
        """Apply the transpose of `spread`: Kᵀ y."""
        return self._apply(self.matrix.T, y)

    def spread_variance(self, variance: Singles) -> Singles:
        """Compute the variance of the weighted sums of independent values."""
        squared = csr_array((self.matrix.data**2, self.matrix.indices, self.matrix.indptr), self.matrix.shape)
        return self._apply(squared, variance)

    def _apply(self, matrix: Any, x: Singles) -> Singles:
        rows = x.reshape(-1, matrix.shape[0])
        if len(rows) < TOGETHER:
            return np.stack([matrix @ row for row in rows]).reshape(x.shape)
        return np.ascontiguousarray((matrix @ np.ascontiguousarray(rows.T)).T).reshape(x.shape)

    def on(self, mask: Booleans | None = None) -> MeasuredBlur:
        """Prepare the blur of what was measured; ``mask`` of the shape of the bins, True = not measured."""
        measured = np.ones(self.shape, np.float32) if mask is None else (~mask).astype(np.float32)
        share = np.asarray(measured / np.maximum(self.spread(measured), 1e-6), dtype=np.float32)
        return MeasuredBlur(self, measured, share)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredBlur:
    """R of data with bins that are not known: R x = K x / K 1 over the measured bins. Made by `LocalBlur.on`.

    So a constant stays the same constant, also at borders and beside gaps. Masked bins are not read, and 0 in
    the result.
    """

    kernel: LocalBlur
    measured: Singles
    share: Singles

    def blur(self, x: npt.ArrayLike) -> Singles:
        """Compute R x, float32."""
        values = np.asarray(x, dtype=np.float32)
        return self.share * self.kernel.spread(np.where(self.measured > 0, values, np.float32(0)))

    def adjoint(self, y: npt.ArrayLike) -> Singles:
        """Compute Rᵀ y, float32: ⟨R x, y⟩ = ⟨x, Rᵀ y⟩ for every x and y."""
        values = np.where(self.measured > 0, np.asarray(y, dtype=np.float32), np.float32(0))
        return self.measured * self.kernel.gather(self.share * values)


def local_blur(edges: Sequence[Floats], covariances: Covariances, *, filled: float = FILLED) -> LocalBlur:
    """Build the blur of bins.

    Parameters
    ----------
    edges
        Along each axis, (n + 1,).
    covariances
        Of the resolution, in the units of the edges.
    filled
        Share of a bin over which its content is spread.

    Examples
    --------
    >>> blur = local_blur([np.arange(21.0)], lambda centres: np.full((*centres[0].shape, 1, 1), 4.0))
    >>> point = np.zeros(20, dtype=np.float32)
    >>> point[10] = 1
    >>> places = np.arange(20) - 10
    >>> round(float((blur.spread(point) * places**2).sum()), 1)  # 4 + (1 + 0.65²)/12, less the tails
    4.0
    """
    lines = [_Line.of(edge) for edge in edges]
    covariance = covariances([line.nodes for line in lines])
    reach = [_reach(line, covariance[..., i, i]) for i, line in enumerate(lines)]
    nodes = int(np.prod([line.nodes.size for line in lines]))
    _refuse_large(8 * nodes * int(np.prod([2.0 * r + 1 for r in reach])))
    offsets = list(product(*(range(-r, r + 1) for r in reach)))
    weights = _node_weights(lines, covariance, reach, filled).reshape(
        len(offsets), *(line.nodes.size for line in lines)
    )
    weights /= weights.sum(axis=0)
    largest = weights.reshape(len(offsets), -1).max(axis=1)
    order = np.argsort(largest)
    needed = np.empty(len(offsets), dtype=bool)
    needed[order] = np.cumsum(largest[order]) > NEGLIGIBLE
    weights = weights[needed] / weights[needed].sum(axis=0)
    shape = tuple(line.centres.size for line in lines)
    _refuse_large(8 * len(weights) * int(np.prod(shape)))
    at_bins = _interpolated(np.moveaxis(weights, 0, -1).astype(np.float32), lines)
    return LocalBlur(shape, _matrix(np.array(offsets)[needed], at_bins))


def local_widths(edges: Sequence[Floats], covariances: Covariances) -> Singles:
    """Compute the FWHM of the resolution in bins along each axis, float32 (d, n0, n1, …); as `local_blur`.

    >>> variance = lambda centres: np.full((*centres[0].shape, 1, 1), 4.0)
    >>> local_widths([np.arange(4.0)], variance).astype(float).round(2).tolist()
    [[4.71, 4.71, 4.71]]
    """
    lines = [_Line.of(edge) for edge in edges]
    variances = np.einsum("...ii->...i", covariances([line.nodes for line in lines]))
    sigmas = _interpolated(np.sqrt(np.maximum(variances, 0)).astype(np.float32), lines)
    widths = [
        np.diff(line.edges).reshape([-1 if i == axis else 1 for i in range(len(lines))])
        for axis, line in enumerate(lines)
    ]
    return np.stack([FWHM * sigmas[..., axis] / width for axis, width in enumerate(widths)]).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """The bins of an axis, and the nodes at which weights are computed: (n,) of bins, (m,) of nodes.

    ``interpolation`` (n, m) from nodes to bins, None where every bin is a node.
    """

    edges: Floats
    centres: Floats
    nodes: Floats
    interpolation: Singles | None

    @classmethod
    def of(cls, edges: Floats) -> _Line:
        edges = np.asarray(edges, dtype=np.float64)
        centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
        if np.ptp(widths) > 1e-3 * widths.mean() or centres.size <= NODES:
            return cls(edges, centres, centres, None)
        nodes = np.linspace(centres[0], centres[-1], NODES)
        hats = [np.interp(centres, nodes, row) for row in np.eye(NODES)]
        return cls(edges, centres, nodes, np.stack(hats, axis=1).astype(np.float32))

    def pairs(self, reach: int) -> tuple[Floats, Floats, Floats]:
        """Distances from source to target centre (offsets, m), widths of the source, and of the target (m,).

        Outside, bins are as wide as the last one.
        """
        offset = np.arange(-reach, reach + 1)[:, None]
        if self.interpolation is not None:
            width = float(np.diff(self.edges).mean())
            distance = np.broadcast_to(offset * width, (offset.size, self.nodes.size))
            return distance, np.full(distance.shape, width), np.full(self.nodes.size, width)
        widths = np.diff(self.edges)
        source = np.arange(self.nodes.size) - offset
        inside = np.clip(source, 0, self.nodes.size - 1)
        beyond = (source - inside) * widths[inside]
        return self.centres - (self.centres[inside] + beyond), widths[inside], widths


def _reach(line: _Line, variance: Floats) -> int:
    """How many bins away a bin still takes from another."""
    width = float(np.diff(line.edges).min())
    return min(max(1, int(np.ceil(REACH * float(np.sqrt(variance.max())) / width + 0.3))), line.centres.size)


def _node_weights(lines: list[_Line], covariance: Floats, reach: list[int], filled: float) -> Floats:
    """Weights (offsets 0, offsets 1, …, nodes 0, nodes 1, …), axis by axis given those before it."""
    d = len(lines)
    total = np.ones((1,) * (2 * d))
    distances: list[Floats] = []
    observed: Floats = np.array(covariance, dtype=np.float64)
    for i, line in enumerate(lines):
        distance, source, target = line.pairs(reach[i])
        place = [1] * (2 * d)
        place[i], place[d + i] = distance.shape
        distance, source = distance.reshape(place), source.reshape(place)
        target = target.reshape([1] * (2 * d - d + i) + [-1] + [1] * (d - i - 1))
        mean, variance = _given(observed, covariance, distances, i)
        total = total * _share(distance - mean, np.sqrt(variance), 0.5 * filled * source, 0.5 * target)
        distances.append(distance)
        box = (target**2 + (filled * target) ** 2) / 12
        observed[..., i, i] += box.reshape(box.shape[d:])
    return total


def _given(
    observed: Floats, covariance: Floats, distances: list[Floats], axis: int
) -> tuple[Floats | float, Floats]:
    """Mean and variance along an axis where the bins along those before it are a distance apart.

    ``observed`` has the variance of the place inside the bins in the diagonal, too.
    """
    variance = covariance[..., axis, axis]
    if not axis:
        return 0.0, np.maximum(variance, 1e-18)
    factors = np.linalg.solve(observed[..., :axis, :axis], covariance[..., :axis, axis, None])[..., 0]
    mean: Floats | float = sum((factors[..., j] * distances[j] for j in range(axis)), 0.0)
    left = variance - (factors * covariance[..., :axis, axis]).sum(axis=-1)
    return mean, np.maximum(left, 1e-4 * variance + 1e-18)


def _share(distance: Floats, sigma: Floats, half: Floats, other: Floats) -> Floats:
    """What a source of density 1 over ± ``half`` brings to within ± ``other`` of a place, when blurred."""

    def integral(x: Floats) -> Floats:
        u = x / sigma
        return np.asarray(
            0.5 * x * (1 + erf(u * np.sqrt(0.5))) + sigma * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
        )

    upper, lower = distance + other, distance - other
    inside = integral(upper + half) - integral(upper - half) - integral(lower + half) + integral(lower - half)
    return np.maximum(inside, 0.0)


def _interpolated(weights: Singles, lines: list[_Line]) -> Singles:
    """From weights at the nodes (m0, m1, …, k) to those at the bins (n0, n1, …, k)."""
    for axis, line in enumerate(lines):
        if line.interpolation is not None:
            before, count = weights.shape[:axis], weights.shape[axis + 1 :]
            rows = weights.reshape(int(np.prod(before)), line.nodes.size, -1)
            rows = np.einsum("nm,bmk->bnk", line.interpolation, rows)  # many small products: not by BLAS
            weights = rows.reshape(*before, line.centres.size, *count)
    return np.ascontiguousarray(weights)


def _matrix(offsets: Integers, weights: Singles) -> Any:
    """The sparse matrix from sources to targets that lie ``offsets`` (k, d) bins beyond them.

    ``weights`` (n0, n1, …, k) by the target; they become 0, in place, where the source is outside.
    """
    shape, bins = weights.shape[:-1], int(np.prod(weights.shape[:-1]))
    for axis, count in enumerate(shape):
        source = np.arange(count)[:, None] - offsets[:, axis]
        for place in np.flatnonzero(((source < 0) | (source >= count)).any(axis=1)):
            inside = (source[place] >= 0) & (source[place] < count)
            np.moveaxis(weights, axis, 0)[place] *= inside
    steps = (offsets @ [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]).astype(np.int32)
    sources = np.arange(bins, dtype=np.int32)[:, None] - steps
    np.clip(sources, 0, bins - 1, out=sources)  # beyond them the weight is 0
    ends = steps.size * np.arange(bins + 1, dtype=np.int32)
    return csr_array((weights.ravel(), sources.ravel(), ends), shape=(bins, bins))


def _refuse_large(size: int) -> None:
    if size > LARGEST:
        raise Exp2SimError(
            f"The resolution on these bins takes {size / 1e9:.3g} GB.",
            reason="It reaches over too many bins.",
            fix="Make the bins wider (`exp2sim rebin`), or cut the data into parts.",
        )
