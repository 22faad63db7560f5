"""Dispersions as they are seen in the bins of a picture: what made-up excitations have in common."""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.histogram import Floats

EXTENT = 1.025
"""h and k of made-up data go from minus this to this, in r.l.u."""


def positions(bins: int, points: int) -> Floats:
    """h or k of ``points`` points in each of so many bins, (bins · points,).

    >>> positions(2, 1).tolist()
    [-0.5125, 0.5125]
    """
    centres: Floats = ((np.arange(points * bins) + 0.5) / (points * bins) * 2 - 1) * EXTENT
    return centres


def averaged(volume: Floats, points: int) -> Floats:
    """Means over the points of each bin: (h · points, k · points, E) to (h, k, E)."""
    nh, nk, ne = volume.shape
    means: Floats = volume.reshape(nh // points, points, nk // points, points, ne).mean(axis=(1, 3))
    return means
