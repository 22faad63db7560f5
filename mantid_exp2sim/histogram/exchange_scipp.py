"""Histograms as DataArrays of scipp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.histogram.axis import Axis, Floats
from mantid_exp2sim.histogram.exchange_parts import (
    NOTE,
    Binned,
    Note,
    Parts,
    common_unit,
    edges_between,
    require_distinct_names,
    write_note,
)

if TYPE_CHECKING:
    import scipp

MASK = "not_measured"


def to_scipp(binned: Binned) -> scipp.DataArray:
    """Make a DataArray: bin edges as coordinates, variances, one mask, and a note as unaligned coordinate."""
    import scipp as sc

    require_distinct_names(binned.axes)
    dims = [axis.name for axis in binned.axes]
    data = sc.array(dims=dims, values=binned.intensity, variances=binned.variance, unit="one")
    coords = {
        axis.name: sc.array(dims=[axis.name], values=axis.edges, unit=_unit(axis.unit))
        for axis in binned.axes
    }
    mask = sc.array(dims=dims, values=binned.mask)
    array = sc.DataArray(data, coords={**coords, NOTE: sc.scalar(write_note(binned))}, masks={MASK: mask})
    array.coords.set_aligned(NOTE, False)
    return array


def from_scipp(array: scipp.DataArray) -> Parts:
    """Read a DataArray: its axes in their order, all of its masks, its variances, and the note if any."""
    import scipp as sc

    require(array, sc.DataArray, "a scipp.DataArray", fix="Take one entry of a Dataset.")
    if array.bins is not None:
        raise Exp2SimError(
            "The bins of this DataArray hold events.",
            reason="A histogram has one number in each bin.",
            fix="Make it one with array.hist().",
        )
    note = Note.read(array.coords[NOTE].value if NOTE in array.coords else "")
    axes = tuple(_axis(array, dim, note) for dim in array.dims)
    values = np.asarray(array.values, dtype=np.float64)
    variance = np.zeros_like(values) if array.variances is None else array.variances
    mask = np.broadcast_to(~np.isfinite(values), values.shape).copy()
    for part in array.masks.values():
        mask |= part.broadcast(sizes=array.sizes).values if part.dims != array.dims else part.values
    gone = [name for name in note.words if name not in array.dims and name in array.coords]
    ranges = [(name, _edges(array, name)) for name in gone]
    metadata = note.metadata_with([(name, edges) for name, edges in ranges if edges.size == 2])
    if array.unit not in (None, sc.units.one):
        metadata["intensity_unit"] = str(array.unit)
    return Parts(values, np.asarray(variance, dtype=np.float64), mask, axes, metadata)


def _edges(array: scipp.DataArray, name: str) -> Floats:
    return np.atleast_1d(np.asarray(array.coords[name].values, dtype=np.float64))


def _axis(array: scipp.DataArray, dim: str, note: Note) -> Axis:
    if dim not in array.coords or array.coords[dim].dims != (dim,):
        raise Exp2SimError(
            f"The axis {dim!r} has no coordinate of its own.",
            reason="The edges of its bins are not known.",
            fix=f"Set array.coords[{dim!r}] to its bin edges.",
        )
    edges = _edges(array, dim)
    edges = edges if array.coords.is_edges(dim) else edges_between(edges, dim)
    return note.axis(dim, edges, str(array.coords[dim].unit or ""))


def _unit(unit: str) -> scipp.Unit:
    """The unit of an axis as scipp knows it; dimensionless where it does not."""
    import scipp as sc

    try:
        unit_there: scipp.Unit = sc.Unit(common_unit(unit))
    except sc.UnitError:
        unit_there = sc.units.one
    return unit_there
