"""Histograms as Datasets of xarray, with bin borders as the CF conventions have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.histogram.axis import Axis
from mantid_exp2sim.histogram.exchange_parts import (
    NOTE,
    Binned,
    Note,
    Parts,
    common_unit,
    edges_between,
    edges_of_bounds,
    require_distinct_names,
    write_note,
)

if TYPE_CHECKING:
    import xarray

INTENSITY, VARIANCE, MASK, SIDE = "intensity", "variance", "not_measured", "side"


def to_xarray(binned: Binned) -> xarray.Dataset:
    """Make a Dataset of intensity, variance and mask; coordinates are bin centres, with their borders."""
    import xarray as xr

    require_distinct_names(binned.axes)
    dims = [axis.name for axis in binned.axes]
    arrays = {INTENSITY: binned.intensity, VARIANCE: binned.variance, MASK: binned.mask}
    coords = {}
    for axis in binned.axes:
        borders = np.stack([axis.edges[:-1], axis.edges[1:]], axis=1)
        words = {"units": common_unit(axis.unit), "bounds": _bounds(axis.name)}
        coords[axis.name] = ([axis.name], axis.centres, words)
        coords[_bounds(axis.name)] = ([axis.name, SIDE], borders, {})
    return xr.Dataset(
        {name: (dims, array.copy()) for name, array in arrays.items()},
        coords=coords,
        attrs={NOTE: write_note(binned)},
    )


def from_xarray(data: xarray.Dataset | xarray.DataArray) -> Parts:
    """Read a Dataset with ``intensity`` and, where it has them, ``variance`` and ``not_measured``."""
    import xarray as xr

    require(data, (xr.Dataset, xr.DataArray), "an xarray Dataset or DataArray", fix="Make one of the data.")
    dataset = data.to_dataset(name=INTENSITY) if isinstance(data, xr.DataArray) else data
    if INTENSITY not in dataset:
        raise Exp2SimError(
            "The Dataset has no variable 'intensity'.",
            reason=f"It has {', '.join(map(str, dataset.data_vars)) or 'none'}.",
            fix="Give one of its DataArrays, or rename it: dataset.rename(signal='intensity').",
        )
    note = Note.read(dataset.attrs.get(NOTE, ""))
    dims = dataset[INTENSITY].dims
    values = np.asarray(dataset[INTENSITY].values, dtype=np.float64)
    like = dataset[INTENSITY]
    variance, mask = np.zeros(values.shape), ~np.isfinite(values)
    if VARIANCE in dataset:
        variance = np.array(dataset[VARIANCE].broadcast_like(like).transpose(*dims).values, dtype=np.float64)
    if MASK in dataset:
        mask = mask | dataset[MASK].broadcast_like(like).transpose(*dims).values.astype(bool)
    gone = [name for name in note.words if name not in dims and _bounds(name) in dataset.coords]
    ranges = [(name, np.asarray(dataset.coords[_bounds(name)].values, dtype=np.float64)) for name in gone]
    metadata = note.metadata_with([(name, edges) for name, edges in ranges if edges.shape == (2,)])
    return Parts(values, variance, mask, tuple(_axis(dataset, str(dim), note) for dim in dims), metadata)


def _bounds(name: str) -> str:
    return f"{name}_bounds"


def _axis(dataset: xarray.Dataset, dim: str, note: Note) -> Axis:
    if dim not in dataset.coords:
        raise Exp2SimError(
            f"The axis {dim!r} has no coordinate.",
            reason="The centres of its bins are not known.",
            fix=f"Give it one with data.assign_coords({{{dim!r}: centres}}).",
        )
    centres, unit = dataset.coords[dim], str(dataset.coords[dim].attrs.get("units", ""))
    borders = str(centres.attrs.get("bounds", _bounds(dim)))
    if borders in dataset.variables:
        values = np.asarray(dataset[borders].values, dtype=np.float64)
        return note.axis(dim, edges_of_bounds(values, dim), unit)
    return note.axis(dim, edges_between(np.asarray(centres.values, dtype=np.float64), dim), unit)
