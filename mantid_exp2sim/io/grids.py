"""Product grids found in a list of points in reciprocal space."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import Axis, Floats
from mantid_exp2sim.io.axes import edges_of, momentum_axis

_TOLERANCE = 1e-6
Integers = npt.NDArray[np.int64]


class Grid(NamedTuple):
    """Axes, the place (C order) of each point in them, and the (h, k, l) where all coordinates are 0."""

    axes: tuple[Axis, ...]
    places: Integers
    offset: tuple[float, float, float]


def find_grid(points: Floats) -> Grid | None:
    """Find the product grid that points (n, 3) in (h, k, l) are, or None where they are none.

    Along h, k and l the points may come in any order; along other directions (``[H,H,0]``) they have to come
    line by line, as ``ndgrid`` gives them. Axes with a single value are left out.

    Examples
    --------
    >>> k, h = np.meshgrid([0.0, 1.0, 2.0], [0.0, 0.5])
    >>> grid = find_grid(np.stack([h.ravel(), k.ravel(), 0 * h.ravel()], axis=1))
    >>> [(axis.name, axis.size) for axis in grid.axes], grid.places
    ([('[H,0,0]', 2), ('[0,K,0]', 3)], array([0, 1, 2, 3, 4, 5]))
    >>> find_grid(np.array([[0.0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [1, 1, 0], [1.5, 1.5, 0]])) is None
    True
    """
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.all(np.isfinite(points)):
        return None
    span = float(np.max(np.ptp(points, axis=0), initial=0.0))
    tolerance = _TOLERANCE * max(span, float(np.max(np.abs(points))) * 1e-3, 1e-9)
    return _aligned(points, tolerance) or _slanted(points, tolerance)


def _aligned(points: Floats, tolerance: float) -> Grid | None:
    levels = [_levels(points[:, i], tolerance) for i in range(3)]
    shape = tuple(len(values) for values, _ in levels)
    if int(np.prod(shape, dtype=object)) != len(points):
        return None
    index = np.ravel_multi_index([place for _, place in levels], shape).astype(np.int64)
    if len(np.unique(index)) != len(points):
        return None
    axes = tuple(
        momentum_axis(np.eye(3)[i], edges_of(values))
        for i, (values, _) in enumerate(levels)
        if len(values) > 1
    )
    h, k, l = (float(values[0]) if len(values) == 1 else 0.0 for values, _ in levels)  # noqa: E741
    return Grid(axes, index, (h, k, l))


def _levels(values: Floats, tolerance: float) -> tuple[Floats, Integers]:
    """Different values in ascending order, and which one each is."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.concatenate([[True], np.diff(ranked) > tolerance])
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.cumsum(starts) - 1
    return ranked[starts], place


def _slanted(points: Floats, tolerance: float) -> Grid | None:
    lines = _lines(points, tolerance)
    if not lines or len(lines) > 3:
        return None
    vectors = np.array([vector for vector, _ in lines])
    if np.linalg.matrix_rank(vectors, tol=1e-6) < len(lines):
        return None
    start = _coordinates(points[0], vectors)
    main = [int(np.argmax(np.abs(vector) > 1 - 1e-9)) for vector in vectors]
    order = sorted(range(len(lines)), key=lambda i: (main[i], i))
    # in the list the first direction runs fastest
    places = np.unravel_index(np.arange(len(points)), tuple(len(t) for _, t in reversed(lines)))[::-1]
    axes, ranks = [], []
    for i in order:
        steps = lines[i][1]
        ascending = np.argsort(steps)
        rank = np.empty(len(steps), dtype=np.int64)
        rank[ascending] = np.arange(len(steps))
        axes.append(momentum_axis(vectors[i], edges_of(start[i] + steps[ascending])))
        ranks.append(rank[places[i]])
    index = np.ravel_multi_index(ranks, tuple(axis.size for axis in axes)).astype(np.int64)
    h, k, l = (float(x) for x in points[0] - start @ vectors)  # noqa: E741
    return Grid(tuple(axes), index, (h, k, l))


def _lines(points: Floats, tolerance: float) -> list[tuple[Floats, Floats]] | None:
    """Directions (largest component 1) and steps from the first point along each, fastest first."""
    if len(points) == 1:
        return []
    step = points[1] - points[0]
    if np.max(np.abs(step)) <= tolerance:
        return None
    unit = step / step[int(np.argmax(np.abs(step) > np.max(np.abs(step)) * (1 - 1e-9)))]
    steps = (points - points[0]) @ unit / (unit @ unit)
    off = np.max(np.abs(points - points[0] - steps[:, None] * unit), axis=1) > tolerance
    sign = 1.0 if steps[1] > 0 else -1.0
    back = np.concatenate([[False], sign * np.diff(steps) <= tolerance])
    stop = np.flatnonzero(off | back)
    count = int(stop[0]) if stop.size else len(points)
    if len(points) % count:
        return None
    blocks = points.reshape(-1, count, 3)
    relative = blocks - blocks[:, :1]
    if not np.all(np.abs(relative - relative[0]) <= tolerance):
        return None
    slower = _lines(blocks[:, 0], tolerance)
    return None if slower is None else [(unit, steps[:count]), *slower]


def _coordinates(point: Floats, vectors: Floats) -> Floats:
    """Coordinates of the first point: those of the main components where these tell, else the nearest."""
    main = [int(np.argmax(np.abs(vector) > 1 - 1e-9)) for vector in vectors]
    square = vectors[:, main].T
    if len(set(main)) == len(main) and abs(np.linalg.det(square)) > 1e-6:
        return np.asarray(np.linalg.solve(square, point[main]), dtype=np.float64)
    return np.asarray(np.linalg.lstsq(vectors.T, point, rcond=None)[0], dtype=np.float64)
