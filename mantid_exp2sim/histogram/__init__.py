"""The data that everything here takes and gives: a histogram with variance, mask and axes."""

from mantid_exp2sim.histogram.axis import Axis, AxisKind, Booleans, Floats
from mantid_exp2sim.histogram.data import Histogram, require_histogram

__all__ = ["Axis", "AxisKind", "Booleans", "Floats", "Histogram", "require_histogram"]
