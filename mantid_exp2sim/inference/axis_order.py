"""Data whose axes are h, k and energy transfer in any order, with others that are integrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import HKL, Axis, Histogram, Projection
from mantid_exp2sim.networks.layout import AXES


def find_order(dimensions: Sequence[Axis], projection: Projection = HKL) -> list[int]:
    """Return the positions of both momentum axes and energy transfer, then those of the integrated axes.

    Raises
    ------
    Exp2SimError
        If one of them is not there, or another axis has more than one bin.
    """
    places = projection.places(dimensions)
    positions = [
        place.position
        for place in (places.get(kind) for kind in AXES)
        if place is not None and place.position is not None and place.axis is dimensions[place.position]
    ]
    others = [i for i in range(len(dimensions)) if i not in positions]
    if len(positions) != len(AXES) or any(dimensions[i].size > 1 for i in others):
        names = ", ".join(repr(axis.name) for axis in dimensions)
        raise Exp2SimError(
            f"The axes are not {projection.words}.",
            reason=f"They are {names}; each is needed once, in any order, and others must be integrated.",
            fix="Bin the data to such axes: `exp2sim cut`, or BinMD, CutMD or IntegrateMD in Mantid.",
        )
    return positions + others


def to_volume(
    array: npt.NDArray[Any], dimensions: Sequence[Axis], projection: Projection = HKL
) -> npt.NDArray[Any]:
    """Return an array with these axes as (h, k, E)."""
    order = find_order(dimensions, projection)
    return array.transpose(order).reshape([dimensions[i].size for i in order[:3]])


def from_volume(
    volume: npt.NDArray[Any], dimensions: Sequence[Axis], projection: Projection = HKL
) -> npt.NDArray[Any]:
    """Return an array (h, k, E) with these axes: the inverse of `to_volume`."""
    order = find_order(dimensions, projection)
    return volume.reshape([dimensions[i].size for i in order]).transpose(np.argsort(order))


def in_order(histogram: Histogram) -> Histogram:
    """Return the same data with the axes h, k, energy in this order and integrated axes left out.

    Raises `Exp2SimError` if one of these axes is missing, or another one has more than one bin.
    """
    dimensions = histogram.axes
    return Histogram(
        to_volume(histogram.intensity, dimensions),
        to_volume(histogram.variance, dimensions),
        to_volume(histogram.mask, dimensions),
        tuple(dimensions[i] for i in find_order(dimensions)[:3]),
        histogram.metadata,
    )
