"""Where in reciprocal space the points of a result of SpinW lie: a grid, |Q| of a powder, or a path."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM
from mantid_exp2sim.io.axes import edges_of, modulus_axis
from mantid_exp2sim.io.grids import Grid, find_grid
from mantid_exp2sim.io.spinw.fields import points_last, read_array, wrong

MAX_POINTS_KEPT = 10_000
PATH = "path"
"""Name of the axis along points that are no grid."""
_NO_OFFSET = (0.0, 0.0, 0.0)


def make_histogram(spectrum: dict[str, Any], sums: Floats, last: Axis, metadata: dict[str, Any]) -> Histogram:
    """Return a histogram of the sums in bins (points, energies): per meV where the energies are known."""
    grid = _grid(spectrum, len(sums), metadata)
    values = np.empty_like(sums)
    values[grid.places] = sums / last.widths if last.kind == "energy" else sums
    axes = (*grid.axes, last)
    return Histogram.from_arrays(values.reshape(tuple(axis.size for axis in axes)), axes, metadata=metadata)


def _grid(spectrum: dict[str, Any], count: int, metadata: dict[str, Any]) -> Grid:
    key = "hkl" if "hkl" in spectrum else "hklA"
    points = read_array(spectrum, key).real if key in spectrum else np.zeros((0, 0))
    if key == "hklA" and points.size == count and 1 in points.shape:  # powspec
        order = np.argsort(points.reshape(-1))
        place = np.empty(count, dtype=np.int64)
        place[order] = np.arange(count)
        return Grid((modulus_axis(edges_of(points.reshape(-1)[order])),), place, _NO_OFFSET)
    if key == "hkl" and points.size:
        points = points_last(points, 1)
        if points.shape != (3, count):
            raise wrong(f"hkl is of shape {points.shape} and there are {count} points.")
        grid = find_grid(points.T.astype(np.float64))
        if grid is not None:
            if any(grid.offset):
                metadata["offset"] = list(grid.offset)
            return grid
        if count <= MAX_POINTS_KEPT and np.all(np.isfinite(points)):
            metadata["points"] = points.T.tolist()
        return Grid((_path(spectrum, count),), np.arange(count), _NO_OFFSET)
    metadata.setdefault("left_out", []).append("points: the file has no hkl")
    return Grid((_numbered("point", count),), np.arange(count), _NO_OFFSET)


def _path(spectrum: dict[str, Any], count: int) -> Axis:
    """Return the axis along a path: the distance in Å⁻¹ from its first point, else the number of the point.

    The number stands in where the file has no ``hklA``, or where points follow each other in one place.
    """
    momenta: npt.NDArray[Any] = np.zeros((0, 0))
    if "hklA" in spectrum:
        momenta = points_last(read_array(spectrum, "hklA").real.astype(np.float64), 1)
    if momenta.shape == (3, count) and np.all(np.isfinite(momenta)):
        steps = np.linalg.norm(np.diff(momenta, axis=1), axis=0)
        distances = np.concatenate([[0.0], np.cumsum(steps)])
        if np.all(steps > 1e-9 * distances[-1]) and np.isfinite(distances[-1]):
            return Axis(PATH, edges_of(distances), unit=INVERSE_ANGSTROM)
    return _numbered(PATH, count)


def _numbered(name: str, count: int) -> Axis:
    return Axis(name, np.arange(count + 1, dtype=np.float64) + 0.5)
