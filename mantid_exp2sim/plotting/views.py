"""What can be drawn besides an intensity: a difference, a ratio, errors, a line or a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.plotting.style import RATIO


def difference(histogram: Histogram, other: Histogram) -> Histogram:
    """Return what a histogram has beyond another one, for a picture on a scale symmetric about 0."""
    return _about(histogram - other, histogram, "Difference", signed=True)


def ratio(histogram: Histogram, other: Histogram) -> Histogram:
    """Return a histogram over another one, masked where that is not above 0."""
    positive = other.replace(mask=other.mask | ~(other.intensity > 0))
    return _about(histogram / positive, histogram, RATIO)


def errors_of(histogram: Histogram) -> Histogram:
    """Return the standard deviations of a histogram, masked where they are not known (0).

    >>> from mantid_exp2sim.histogram import Axis
    >>> axis = Axis("DeltaE", np.arange(3.0))
    >>> errors_of(Histogram.from_arrays([9.0, 9.0], [axis], [4.0, 0.0])).intensity
    array([ 2., nan])
    """
    unknown = histogram.mask | ~(histogram.variance > 0)
    if unknown.all():
        raise Exp2SimError(
            "The data have no errors to draw.",
            reason="Every variance is 0, which means not known.",
            fix="Draw the intensity, or deconvolve with --uncertainty.",
        )
    deviation = np.sqrt(np.where(unknown, 0.0, histogram.variance))
    errors = histogram.replace(intensity=deviation, variance=np.zeros_like(deviation), mask=unknown)
    return _about(errors, histogram, "Error (1 σ)")


def view(
    histogram: Histogram, *, line: str | None = None, ranges: Mapping[str, Sequence[float]] | None = None
) -> Histogram:
    """Average a histogram over ranges of its axes and, for a ``line`` along one axis, over all others.

    >>> from mantid_exp2sim.histogram import Axis
    >>> axes = [Axis("[H,0,0]", np.arange(3.0)), Axis("DeltaE", np.arange(3.0))]
    >>> h = Histogram.from_arrays([[1.0, 3.0], [5.0, 7.0]], axes)
    >>> view(h, line="h").intensity, view(h, ranges={"energy": (0, 1)}).intensity
    (array([2., 6.]), array([1., 5.]))
    """
    part = histogram.cut(dict(ranges)) if ranges else histogram
    if line is None:
        return part
    along = part.position(line)
    others = [axis.name for number, axis in enumerate(part.axes) if number != along]
    return part.integrate(*others, minimum_measured=1e-6) if others else part


def _about(shown: Histogram, histogram: Histogram, quantity: str, *, signed: bool = False) -> Histogram:
    metadata = {**histogram.metadata, "quantity": quantity, "signed": signed}
    return shown.replace(metadata=metadata)
