"""The data that everything here takes and gives: a histogram with variance, mask and axes."""

from mantid_exp2sim.histogram.axis import Axis, AxisKind, Booleans, Floats
from mantid_exp2sim.histogram.data import Histogram, require_histogram
from mantid_exp2sim.histogram.projection import CELL, HKL, Projection, Slot, integrated_axes, volume_histogram

__all__ = [
    "CELL",
    "HKL",
    "Axis",
    "AxisKind",
    "Booleans",
    "Floats",
    "Histogram",
    "Projection",
    "Slot",
    "integrated_axes",
    "require_histogram",
    "volume_histogram",
]
