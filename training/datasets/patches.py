"""Random patches of volumes, with enough measured bins in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.datasets.dataset import Mask, Region

Size: TypeAlias = tuple[int, int, int]
ATTEMPTS = 16
"""Random corners that are tried before all are looked at."""


def check_patch(patch: Size, layout: Layout) -> None:
    """Refuse a patch that the layout cannot take.

    The energy is cut only where the layout slides over it or takes every bin of it by itself.

    >>> check_patch((16, 16, 10), Layout(dimension=2, energy="channels", windows=10))
    """
    if layout.energy == "channels" and patch[2] != layout.windows:
        raise Exp2SimError(
            f"The patch {list(patch)} has {patch[2]} energy bins.",
            reason=f"In this layout the energy bins are channels: there are always {layout.windows}.",
            fix=f"Set patch = [{patch[0]}, {patch[1]}, {layout.windows}], or use a layout with "
            'energy = "axis".',
        )


def find_patch(
    rng: np.random.Generator,
    shape: Size,
    patch: Size,
    read_mask: Callable[[Region], Mask],
    minimum: float,
) -> Region | None:
    """A random patch of a volume of which at least a share ``minimum`` was measured; None: there is none.

    Some corners are tried at random, which reads no more than their patches of the mask; only where these
    fail the whole mask is read, and one of all the corners that will do is chosen.

    >>> found = find_patch(np.random.default_rng(0), (4, 4, 4), (2, 2, 4),
    ...                    lambda region: np.zeros((4, 4, 4), bool)[region], 1.0)
    >>> [part.stop - part.start for part in found]
    [2, 2, 4]
    """
    size = tuple(min(p, n) for p, n in zip(patch, shape, strict=True))
    room = [n - s + 1 for n, s in zip(shape, size, strict=True)]
    for _ in range(ATTEMPTS):
        region = _region([int(rng.integers(r)) for r in room], size)
        if float(np.mean(~read_mask(region))) >= minimum:
            return region
    shares = measured_shares(read_mask(_region([0, 0, 0], shape)), size)
    corners = np.argwhere(shares >= minimum * (1 - 1e-9))
    if not len(corners):
        return None
    return _region([int(c) for c in corners[rng.integers(len(corners))]], size)


def _region(corner: list[int], size: tuple[int, ...]) -> Region:
    h, k, e = (slice(c, c + s) for c, s in zip(corner, size, strict=True))
    return h, k, e


def measured_shares(mask: Mask, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Measured share of the patch at every corner, from a table of sums.

    >>> measured_shares(np.array([[[True, False, False]]]), (1, 1, 2)).tolist()
    [[[0.5, 1.0]]]
    """
    sums = (~mask).astype(np.float64)
    for axis, width in enumerate(size):
        total = np.cumsum(np.insert(sums, 0, 0.0, axis=axis), axis=axis)
        upper = [slice(None)] * sums.ndim
        lower = [slice(None)] * sums.ndim
        upper[axis], lower[axis] = slice(width, None), slice(None, total.shape[axis] - width)
        sums = total[tuple(upper)] - total[tuple(lower)]
    return np.asarray(sums / np.prod(size))
