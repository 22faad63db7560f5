"""Compare the gaps of data with those of the training spectra."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]

RARE = 0.01
"""A bin that a smaller share of training spectra measures (misses) is taken for never (always) measured."""
TOLERANCE = 0.04
"""Departure, as a share of the bins, that counts as much as the 95 % quantile of another number.

Mirroring a measured mask in h, which is a symmetry of the crystal but not of a detector bank, moves up to 4 %
of its bins: another measurement on the same instrument may differ as much. (Reasoned, not fitted.)
"""


def packed(mask: npt.NDArray[np.bool_]) -> Bits:
    """Pack masks (V, …) into bits (V, bytes).

    >>> packed(np.array([[True, False, True]])).tolist()
    [[160]]
    """
    return np.packbits(mask.reshape(len(mask), -1), axis=1)


def usual_gaps(masks: npt.NDArray[np.bool_]) -> Bits:
    """Find the bins that masks (n, G, …) never and always measure: bits (G, 2, bytes)."""
    missing = masks.reshape(*masks.shape[:2], -1).mean(axis=0)
    return np.stack([packed(missing > 1 - RARE), packed(missing < RARE)], axis=1)


def departures(hidden: Bits, usual: Bits) -> npt.NDArray[np.float64]:
    """Return the share (V,) of the bins that are measured against the habit, or missing against it.

    ``hidden`` (V, bytes) of data; ``usual`` (V, 2, bytes), `usual_gaps` at their incident energies. The share
    is of the bins that the training set measures at all.

    >>> usual = usual_gaps(np.array([[[True, False, False, False]]]))
    >>> departures(packed(np.array([[True, False, False, True]])), usual).tolist()
    [0.14285714285714285]
    """
    never, always = usual[:, 0], usual[:, 1]
    strange = (~hidden & never) | (hidden & always)
    ever = 8 * never.shape[1] - _count(never)
    shares: npt.NDArray[np.float64] = _count(strange) / np.maximum(ever, 1)
    return shares


def _count(bits: Bits) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = np.unpackbits(bits, axis=1).sum(axis=1, dtype=np.int64)
    return counts
