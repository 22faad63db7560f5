"""Errors that are not known, for readers and for all that uses a variance.

A variance of 0 says that the error is not known; it never says that the value is exact. Where no bin has a
variance, there are no errors, as in a calculation. Where others have one, two kinds of bins do not:

- A bin of 0 ± 0 has no counts, such as most bins of a short run. It is measured. To a sum, and to what a
  network makes of many bins, it adds no counts and no variance. That is right on the average: the number of
  counts in all is the variance of the sum, so a sum has an error that the bin alone has not.
- A bin with an intensity and no error: nobody knows how precise it is. What it is summed into has no known
  error either: variance 0. Where noise must be drawn, it has that of counts (`estimate_variance`).
"""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.histogram.axis import Booleans, Floats


def find_unknown_errors(variance: Floats, mask: Booleans) -> Booleans:
    """Return where a bin was measured and its error is not known, though other bins have one.

    >>> find_unknown_errors(np.array([0.0, 2.0, 0.0]), np.array([False, False, True]))
    array([ True, False, False])
    >>> find_unknown_errors(np.zeros(2), np.zeros(2, dtype=bool))
    array([False, False])
    """
    with_error = ~mask & (variance > 0)
    return ~mask & ~with_error if with_error.any() else np.zeros(mask.shape, dtype=bool)


def find_spoiling(intensity: Floats, variance: Floats, mask: Booleans) -> Booleans:
    """Return which of the bins without a known error leave none to a sum: those that hold an intensity.

    >>> find_spoiling(np.array([0.0, 5.0, 4.0]), np.array([0.0, 0.0, 4.0]), np.zeros(3, dtype=bool))
    array([False,  True, False])
    """
    return np.asarray(find_unknown_errors(variance, mask) & (intensity != 0))


def estimate_variance(intensity: Floats, variance: Floats, mask: Booleans) -> Floats:
    """Return the variance, and that of counts where a bin holds an intensity without a known error.

    The variance of counts is c·max(I, 0), with c, one count, the median of σ²/I over the bins with an error.

    >>> estimate_variance(np.array([8.0, 0.0, 6.0]), np.array([16.0, 0.0, 0.0]), np.zeros(3, dtype=bool))
    array([16.,  0., 12.])
    """
    bright = ~mask & (intensity > 0)
    spoiling, counted = bright & find_unknown_errors(variance, mask), bright & (variance > 0)
    if not spoiling.any() or not counted.any():
        return variance
    with np.errstate(over="ignore"):
        estimate = float(np.median(variance[counted] / intensity[counted])) * intensity
    return np.where(spoiling & np.isfinite(estimate), estimate, variance)
