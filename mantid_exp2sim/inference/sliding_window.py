"""Blocks: what part of the volumes a network sees at once, and which part of its result counts.

A block's core is extended by a halo as wide as the network's reach, whose result is thrown away. So no result
depends on where a block ends, only on the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from mantid_exp2sim.errors import OptionError
from mantid_exp2sim.networks.layout import AXES, Layout

WHOLE = 256 * 256
"""An image of at most so many bins is not cut unless a tile size is given."""
DEFAULT_TILE = {1: 4096, 2: 128, 3: 32}
SMALLEST_TILE = 16
"""Smaller tiles are refused: at 1 bin almost all that a network sees is halo, thousands of times the data."""
BATCH_BINS = 131_072
"""At most so many spatial bins go through a network at once, unless a single tile has more. With fewer,
data folded along the last axis in memory would be read one number per cache line."""
BATCH_WORK = 5e9
"""At most so many bins × parameters: small enough that a cancel is seen within a second on one core."""


@dataclass(frozen=True, slots=True)
class Span:
    """One block along one axis: the network sees [start, stop), of which [first, last) is its core."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def seen(self) -> slice:
        """What the network sees."""
        return slice(self.start, self.stop)

    @property
    def core(self) -> slice:
        """What of the result counts."""
        return slice(self.first, self.last)

    @property
    def inner(self) -> slice:
        """The core, counted from the start of what the network sees."""
        return slice(self.first - self.start, self.last - self.start)


Block = tuple[Span, ...]
"""A span per axis."""


def cut(shape: Sequence[int], *, tile: int | None, reach: Sequence[int] | None, step: int = 1) -> list[Block]:
    """Cut an image into tiles; every bin is in the core of exactly one of them.

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
        If the tile size is no number or too small, or the reach is the whole image and tiles are asked for.

    Examples
    --------
    >>> [(t[0].seen, t[0].core) for t in cut((40,), tile=20, reach=(3,))]
    [(slice(0, 23, None), slice(0, 20, None)), (slice(17, 40, None), slice(20, 40, None))]
    >>> len(cut((40, 40), tile=None, reach=(3, 3)))
    1
    """
    return list(product(*_spatial(shape, tile, reach, step)))


def blocks(
    shape: Sequence[int], layout: Layout, *, tile: int | None, reach: Sequence[int] | None, parameters: int
) -> list[Block]:
    """Cut volumes (B, h, k, E) into blocks, four spans each, of about equal work for a network.

    Spatial axes are cut as by :func:`cut`; along axes that are folded into the batch, and along B, a block
    holds as many samples as go through the network at once; channels stay together.

    >>> [b[3].core for b in blocks((1, 40, 40, 20), Layout(energy="separate"), tile=None, reach=(3, 3),
    ...                            parameters=300_000)]
    [slice(0, 10, None), slice(10, 20, None)]
    """
    size = dict(zip(("batch", *AXES), shape, strict=True))
    spatial = [size[name] for name in layout.spatial]
    spans = dict(zip(layout.spatial, _spatial(spatial, tile, reach, 1), strict=True))
    bins = prod(max(span.stop - span.start for span in spans[name]) for name in layout.spatial)
    left = samples_at_once(bins, parameters)
    for name in reversed(("batch", *layout.folded)):
        spans[name] = _spans(size[name], min(size[name], left), 0, 1)
        left = max(1, left // size[name])
    for name in size:
        spans.setdefault(name, _spans(size[name], size[name], 0, 1))
    return list(product(*(spans[name] for name in size)))


def samples_at_once(bins: int, parameters: int) -> int:
    """How many samples of so many spatial bins a network of so many parameters takes at once.

    >>> samples_at_once(1600, 100_000), samples_at_once(1600, 11_000_000)
    (31, 1)
    """
    most = min(BATCH_BINS, BATCH_WORK / max(1, parameters))
    return max(1, int(most) // max(1, bins))


def check_tile(tile: int | None) -> None:
    """Refuse a tile size that is no whole number, or so small that a run seems to hang.

    >>> check_tile(7)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.OptionError: The tile size 7 is below 16 bins. Every tile is computed with a ...
    """
    if tile is None:
        return
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer) or tile < 1:
        raise OptionError(
            f"The tile size {tile!r} is not a positive whole number of bins.",
            fix=f"Leave the tile size out, or give {SMALLEST_TILE} or more.",
            option="tile",
        )
    if tile < SMALLEST_TILE:
        raise OptionError(
            f"The tile size {tile} is below {SMALLEST_TILE} bins.",
            reason="Every tile is computed with a margin around it that is thrown away: "
            "small tiles cost many times the work of the whole.",
            fix=f"Leave the tile size out, or give {SMALLEST_TILE} or more.",
            option="tile",
        )


def _spatial(
    shape: Sequence[int], tile: int | None, reach: Sequence[int] | None, step: int
) -> list[list[Span]]:
    check_tile(tile)
    if tile is None:
        small = prod(shape) <= WHOLE or reach is None
        tile = max(shape) if small else DEFAULT_TILE[len(shape)]
    if reach is None and tile < max(shape):
        raise OptionError(
            f"Tiles of {tile} bins would change this model's result.",
            reason="Its network normalises over the whole image.",
            fix="Leave the tile size out.",
            option="tile",
        )
    widths = [0] * len(shape) if reach is None else reach
    return [_spans(size, int(tile), width, step) for size, width in zip(shape, widths, strict=True)]


def _spans(size: int, tile: int, reach: int, step: int) -> list[Span]:
    tile = -(-tile // step) * step
    return [
        Span(
            start=max(0, first - reach) // step * step,
            stop=min(size, -(-(min(first + tile, size) + reach) // step) * step),
            first=first,
            last=min(first + tile, size),
        )
        for first in range(0, size, tile)
    ]
