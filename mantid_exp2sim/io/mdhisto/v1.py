"""The old layout of SaveMD: flat arrays, and dimensions described by XML attributes."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import Axis, Booleans, Floats
from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.nexus import NexusTree

MAX_XML = 65536
MAX_DIMENSIONS = 9


def read_v1(entry: NexusTree) -> tuple[Floats, Floats, Floats, Booleans, tuple[Axis, ...]]:
    """Return signal, squared errors, events, mask and axes; dimension 0 runs fastest in the file."""
    axes = tuple(_axis(entry, i) for i in range(_count(entry)))
    shape = tuple(axis.size for axis in axes)
    signal, errors, events, mask = (
        _flat(entry, name, math.prod(shape)).reshape(shape, order="F")
        for name in ("signal", "errors_squared", "num_events", "mask")
    )
    return signal, errors, events, mask != 0, axes


def _count(entry: NexusTree) -> int:
    number = 0
    while f"dimension{number}" in entry.attributes:
        number += 1
    if not 1 <= number <= MAX_DIMENSIONS:
        raise damaged(f"The file describes {number} dimensions.", reason=f"It takes 1 to {MAX_DIMENSIONS}.")
    return number


def _flat(entry: NexusTree, name: str, size: int) -> npt.NDArray[Any]:
    value = entry.value(name)
    if value is None or value.data.dtype.kind not in "iufb" or value.data.size != size:
        raise damaged(f"{name} is missing or does not hold one number for each of the {size} bins.")
    return value.data.reshape(-1).astype(np.float64, copy=False)


def _axis(entry: NexusTree, index: int) -> Axis:
    text = entry.attributes[f"dimension{index}"].text()
    # Dimensions need no document type, and without one there are no entities to expand.
    if len(text) > MAX_XML or "<!" in text:
        raise damaged(f"The XML of dimension {index} is too long or declares a document type.")
    try:
        element = ElementTree.fromstring(text)
        bins = int(element.findtext("NumberOfBins", ""))
        low, high = (float(element.findtext(name, "")) for name in ("LowerBounds", "UpperBounds"))
    except (ElementTree.ParseError, ValueError) as error:
        raise damaged(f"The XML of dimension {index} cannot be read: {error}.") from error
    if not 1 <= bins <= 10**8 or not math.isfinite(high - low):
        raise damaged(f"Dimension {index} has {bins} bins from {low} to {high}.")
    name = element.findtext("Name") or element.get("ID") or f"D{index}"
    frame = element.findtext("Frame") or "Unknown frame"
    return Axis(name, np.linspace(low, high, bins + 1), unit=element.findtext("Units") or "", frame=frame)
