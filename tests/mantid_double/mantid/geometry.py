"""Dimensions of a workspace and their frames."""

from __future__ import annotations

from typing import Any

import numpy as np


class UnitLabel:
    def __init__(self, text: Any) -> None:
        self._text = text

    def ascii(self) -> Any:
        return self._text

    __str__ = ascii


class MDFrame:
    """The frame of a dimension: HKL, QSample, QLab or any other name."""

    def __init__(self, name: Any, unit: Any) -> None:
        self._name, self._unit = name, unit

    def name(self) -> Any:
        return self._name

    def getUnitLabel(self) -> Any:
        return UnitLabel(self._unit)


class IMDDimension:
    """One dimension: extents are float32, as Mantid stores them."""

    def __init__(
        self, name: Any, identity: Any, unit: Any, frame: Any, minimum: Any, maximum: Any, bins: Any
    ) -> None:
        self.name, self._id, self._unit, self._frame = name, identity, unit, frame
        self._min, self._max, self._n = np.float32(minimum), np.float32(maximum), int(bins)
        if self._min > self._max:
            raise ValueError("Error making MDHistoDimension. Cannot have dimension with min > max")

    def getName(self) -> Any:
        return self.name

    def getDimensionId(self) -> Any:
        return self._id

    def getUnits(self) -> Any:
        return self._unit

    def getMinimum(self) -> Any:
        return float(self._min)

    def getMaximum(self) -> Any:
        return float(self._max)

    def getNBins(self) -> Any:
        return self._n

    def getNBoundaries(self) -> Any:
        return self._n + 1

    def getBinWidth(self) -> Any:
        return float((self._max - self._min) / np.float32(self._n))

    def getX(self, ind: Any) -> Any:
        if ind < 0:
            raise OverflowError("can't convert negative value to unsigned int")
        width = (self._max - self._min) / np.float32(self._n)
        return float(self._min + np.float32(ind) * width)

    def getMDFrame(self) -> Any:
        return MDFrame(self._frame, self._unit)

    def _copy(self) -> Any:
        return IMDDimension(self.name, self._id, self._unit, self._frame, self._min, self._max, self._n)


for _thing in (IMDDimension, MDFrame, UnitLabel):
    _thing.__module__ = "mantid.geometry._geometry"
