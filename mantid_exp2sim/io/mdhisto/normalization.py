"""What Mantid displays of an MDHistoWorkspace: its signal under its display normalisation.

Workspaces (``displayNormalization()``, a ``mantid.api.MDNormalization``) and files
(``visual_normalization``) hold the same numbers. A bin without events was not measured, whatever they say:
its signal is 0 because nothing fell into it. Only where no bin has events do these say nothing, as in a
simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mantid_exp2sim.histogram import Axis, Booleans, Floats

NONE, VOLUME, EVENTS = 0, 1, 2
"""Values of Mantid's ``NoNormalization``, ``VolumeNormalization`` and ``NumEventsNormalization``."""


def find_empty_bins(events: Floats) -> Booleans:
    """Return where there are no events; nowhere if no bin has any.

    >>> find_empty_bins(np.array([2.0, 0.0])), find_empty_bins(np.array([0.0, 0.0]))
    (array([False,  True]), array([False, False]))
    """
    filled = np.isfinite(events) & (events > 0)
    return ~filled if filled.any() else np.zeros(events.shape, dtype=bool)


def compute_divisor(normalization: int | None, events: Floats, axes: Sequence[Axis]) -> Floats:
    """Return what the signal of each bin is divided by for display: intensity = signal / divisor.

    It is 1, the volume of a bin in the units of the axes, or the number of events (1 where there are none).

    >>> axes = [Axis("x", np.linspace(0, 1, 3)), Axis("y", np.array([0.0, 4.0]))]
    >>> events = np.array([[5.0], [0.0]])
    >>> [compute_divisor(code, events, axes).ravel().tolist() for code in (NONE, VOLUME, EVENTS)]
    [[1.0, 1.0], [2.0, 2.0], [5.0, 1.0]]
    """
    if normalization == VOLUME:
        widths = ((axis.edges[-1] - axis.edges[0]) / axis.size for axis in axes)
        return np.full(events.shape, math.prod(widths), dtype=np.float64)
    if normalization == EVENTS:
        return np.where(np.isfinite(events) & (events > 0), events, 1.0)
    return np.ones(events.shape)
