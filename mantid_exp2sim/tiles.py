"""Tiles: what part of an image a network sees at once, and with what weight its result counts.

A tile's core is extended by a ramp, in which it blends into its neighbour, and by a halo as wide as the
network's reach, whose result is thrown away. So no result depends on where a tile ends, only on the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats

RAMP = 4
"""Half-width, in bins, of the zone in which neighbouring tiles are blended."""
WHOLE = 256 * 256
"""An image of at most so many bins is not cut unless a tile size is given."""
DEFAULT_TILE = {1: 4096, 2: 128, 3: 32}


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """One tile along one axis: the network sees [start, stop); ``weight`` float64 (stop - start,)."""

    start: int
    stop: int
    weight: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile: a span per spatial axis."""

    spans: tuple[Span, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        """The part of the image that the network sees."""
        return tuple(slice(span.start, span.stop) for span in self.spans)

    @property
    def shape(self) -> tuple[int, ...]:
        """Bins that the network sees along each axis."""
        return tuple(span.stop - span.start for span in self.spans)

    @property
    def weight(self) -> Floats:
        """Weight of each bin, float64, the product of the spans' weights."""
        weight: Floats = np.ones(())
        for span in self.spans:
            weight = weight[..., None] * span.weight
        return weight


def cut(shape: Sequence[int], *, tile: int | None, reach: Sequence[int] | None, step: int = 1) -> list[Tile]:
    """Cut an image into tiles; the weights of all tiles add up to 1 in every bin.

    Parameters
    ----------
    shape
        Bins along each spatial axis.
    tile
        Bins of a tile's core along each axis; None takes the whole image where it is small.
    reach
        How many bins away an input still changes an output bin, per axis; None if the whole image does.
    step
        Down-sampling factor of the network: tiles start and end at multiples of it, or at the image's end.

    Raises
    ------
    Exp2SimError
        If the tile size is no positive number, or tiles are asked for although the reach is the whole image.

    Examples
    --------
    >>> [t.region for t in cut((40,), tile=20, reach=(3,))]
    [(slice(0, 27, None),), (slice(13, 40, None),)]
    >>> len(cut((40, 40), tile=None, reach=(3, 3)))
    1
    """
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, int | np.integer) or tile < 1):
        raise Exp2SimError(f"The tile size {tile!r} is not a positive whole number of bins.")
    if tile is None:
        small = int(np.prod(shape)) <= WHOLE or reach is None
        tile = max(shape) if small else DEFAULT_TILE[len(shape)]
    if reach is None and tile < max(shape):
        raise Exp2SimError(
            f"Tiles of {tile} bins would change this model's result.",
            why="Its network normalises over the whole image.",
            way_out="Leave the tile size out.",
        )
    widths = [0] * len(shape) if reach is None else reach
    axes = [_spans(size, int(tile), width, step) for size, width in zip(shape, widths, strict=True)]
    return [Tile(spans) for spans in product(*axes)]


def _spans(size: int, tile: int, reach: int, step: int) -> list[Span]:
    tile = -(-tile // step) * step
    ramp = min(RAMP, tile // 2)
    position: Floats = np.arange(size, dtype=np.float64) + 0.5
    cores = [(start, min(start + tile, size)) for start in range(0, size, tile)]
    ramps = [_trapezoid(position, start, stop, ramp, size) for start, stop in cores]
    total = np.sum(ramps, axis=0)
    spans = []
    for (start, stop), weight in zip(cores, ramps, strict=True):
        first = max(0, start - ramp - reach) // step * step
        last = min(size, -(-(stop + ramp + reach) // step) * step)
        spans.append(Span(first, last, (weight / total)[first:last]))
    return spans


def _trapezoid(position: Floats, start: int, stop: int, ramp: int, size: int) -> Floats:
    """1 inside, falling to 0 over ±ramp around inner borders; borders of the image have no ramp."""
    width = max(2 * ramp, 1)
    low = (position - start + ramp) / width if ramp else (position > start) * 1.0
    high = (stop + ramp - position) / width if ramp else (position < stop) * 1.0
    ends = np.where(start == 0, 1.0, low), np.where(stop == size, 1.0, high)
    weight: Floats = np.clip(np.minimum(*ends), 0.0, 1.0)
    return weight
