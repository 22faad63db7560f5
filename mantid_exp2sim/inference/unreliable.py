"""Find bins that say nothing: not measured though they hold 0, and spoilt at the edges of gaps.

Both are looked for in measured data alone: data that equal their inversion have no noise, and are calculated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_opening, label

from mantid_exp2sim.histogram import Booleans, Floats

LEAST_BINS = 4
"""A gap that is found has at least so many bins."""
CHANCE = 0.01
"""Expected number of regions in a plane that are 0 by chance and taken for a gap."""
NOISE = 1e-3
"""Median |x − x′| / (|x| + |x′|) of bins and their inversion partners, below which there is no noise."""
RING, MOST_ZEROS = 2, 0.6
"""So many bins around a region no more than this share are 0: else it is a dark place, not a gap."""
BRIGHT = 0.3
"""Nor is it a gap where these bins are, on average, less bright than this share of the plane's mean."""
USUAL = 0.455
"""Median of the square of a standard normal number."""
DOUBTFUL = 2.0
"""Mean squared difference of edge bins to their partners, in units of the noise, from which the edges are
not trusted: it is 1 where they are as good as the others."""
OUTLIER = 3.0
"""Edge bins that differ from their partners by more than so many standard deviations are left out then."""
FLOOR = 0.05
"""Of the mean intensity: added to that of a pair, for the noise of dark bins."""
CUT = 25.0
"""Largest squared difference that counts in the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Unreliable:
    """Bins (B, h, k, E) to leave out: ``unmeasured`` ones that hold 0, and ``edges`` of gaps."""

    unmeasured: Booleans
    edges: Booleans

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what is left out, in sentences; nothing where nothing is."""
        texts = (
            ("bins in regions of zeros are taken for not measured", self.unmeasured),
            (
                "bins at the edges of gaps contradict their symmetry partners or have none: left out",
                self.edges,
            ),
        )
        return tuple(f"{int(bins.sum())} {text}" for text, bins in texts if bins.any())


def find_unreliable(values: Floats, mask: Booleans) -> Unreliable:
    """Look for unreliable bins in volumes (B, h, k, E); ``mask`` is True where not measured.

    Gaps are looked for where there is no mask at all.

    The bins lie about (h, k) = 0, and (h, k) and (−h, −k) have the same intensity.
    """
    nothing = np.zeros(mask.shape, dtype=bool)
    if not _is_noisy(values, mask):
        return Unreliable(nothing, nothing)
    unmeasured = nothing if mask.any() else zero_regions(values, mask)
    return Unreliable(unmeasured, spoilt_edges(values, mask | unmeasured))


def _is_noisy(values: Floats, mask: Booleans) -> bool:
    both = ~(mask | mask[:, ::-1, ::-1])
    x, partner = values[both], values[:, ::-1, ::-1][both]
    size = np.abs(x) + np.abs(partner)
    lit = size > 0
    return bool(lit.any()) and float(np.median(np.abs(x - partner)[lit] / size[lit])) > NOISE


def zero_regions(values: Floats, mask: Booleans) -> Booleans:
    """Return bins (B, h, k, E) in regions of exact zeros that are too large to be dark by chance.

    The chance is the share of zeros among bins that are not 0 and those beside them, plane by plane, and once
    more around each region: a measurement of few counts, or whose negative intensities were cut, has zeros
    everywhere.
    """
    regions = np.zeros(mask.shape, dtype=bool)
    for volume, level in np.ndindex(mask.shape[0], mask.shape[3]):
        place = (volume, slice(None), slice(None), level)
        zero = (values[place] == 0) & ~mask[place]
        if zero.any():
            regions[place] = _large(zero, ~mask[place], values[place])
    return regions


def _large(zero: Booleans, measured: Booleans, values: Floats) -> Booleans:
    """Find in a plane (h, k) the rectangles of zeros, and keep of their regions what stands out."""
    lit = measured & ~zero
    beside = binary_dilation(lit) & measured & ~lit
    chance = float((zero & beside).sum()) / max(float(beside.sum() + lit.sum()), 1.0)
    if not lit.any():
        return np.zeros_like(zero)
    count = _count(chance, zero.size)
    side = int(np.ceil(np.sqrt(count)))
    shapes = ((1, count), (count, 1), (side, side))
    openings = [
        binary_opening(zero, np.ones(shape, dtype=bool)) for shape in shapes if max(shape) <= min(zero.shape)
    ]
    regions, number = label(np.logical_or.reduce([*openings, np.zeros_like(zero)]))
    for region in range(1, number + 1):
        inside = regions == region
        ring = binary_dilation(inside, iterations=RING) & measured & ~inside
        local = float(zero[ring].mean()) if ring.any() else 0.0
        bright = ring.any() and values[ring].mean() >= BRIGHT * values[measured & ~inside].mean()
        if not bright or local > MOST_ZEROS or inside.sum() < _count(local, zero.size):
            regions[inside] = 0
    return np.asarray(regions > 0)


def _count(chance: float, bins: int) -> int:
    """Return how many zeros side by side happen hardly by chance among so many bins.

    >>> _count(0.0, 1600), _count(0.1, 1600), _count(0.5, 1600)
    (4, 6, 18)
    """
    needed = np.log(CHANCE / bins) / np.log(chance) if 0 < chance < 1 else 0.0
    return max(LEAST_BINS, int(np.ceil(needed)))


def spoilt_edges(values: Floats, mask: Booleans) -> Booleans:
    """Return bins (B, h, k, E) beside a gap that are not to be trusted.

    The noise is taken from pairs of bins away from gaps, its variance in proportion to the intensity. Where
    edge bins differ from their inversion partners as the noise tells, all are good. Else those that differ
    by more than `OUTLIER` are left out, and those whose partner was not measured.
    """
    partner, hidden = values[:, ::-1, ::-1], mask[:, ::-1, ::-1]
    cross = np.zeros((1, 3, 3, 1), dtype=bool)
    cross[0, 1, :, 0] = cross[0, :, 1, 0] = True
    edge = binary_dilation(mask, cross) & ~mask
    pairs, inside = ~(mask | hidden), ~(edge | edge[:, ::-1, ::-1])
    if not (pairs & edge).any() or not (pairs & inside).any():
        return np.zeros_like(mask)
    mean = float(np.abs(values[~mask]).mean())
    x, y = np.where(pairs, values, 0.0), np.where(pairs, partner, 0.0)
    level = np.maximum(x + y, 0.0) + FLOOR * mean
    squares = (x - y) ** 2 / level
    noise = float(np.median(squares[pairs & inside])) / USUAL
    usual = float(np.minimum(squares[pairs & inside] / max(noise, 1e-300), CUT).mean())
    squares /= max(noise, 1e-300)
    if np.minimum(squares[pairs & edge], CUT).mean() < DOUBTFUL * max(usual, 1.0):
        return np.zeros_like(mask)
    return np.asarray(edge & (~pairs | (squares > OUTLIER**2)))
