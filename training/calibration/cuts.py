"""Single cuts of spectra: what a model of one dimension is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.datasets.volumes import Volumes

Floats: TypeAlias = NDArray[np.float64]


def cut_axis(layout: Layout) -> int | None:
    """The axis of a volume (h, k, E) along which a model of this layout takes single cuts, or None.

    >>> cut_axis(Layout(dimension=1, energy="axis")), cut_axis(Layout(dimension=1, energy="separate"))
    (2, 0)
    >>> cut_axis(Layout(dimension=2, energy="separate"))
    """
    if layout.dimension > 1 or layout.energy == "channels":
        return None
    return 2 if layout.energy == "axis" else 0


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Where cuts lie: of spectrum ``rows`` (m,) at ``places`` (m, G) of the other two axes, flattened."""

    axis: int
    rows: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def draw(cls, mask: NDArray[np.bool_], axis: int, each: int, rng: np.random.Generator) -> Cuts:
        """``each`` cuts of every volume of masks (n, G, h, k, E), where most bins are measured.

        Cuts of which less than half is measured are drawn where a volume has no others.
        """
        shares = 1 - np.moveaxis(mask, 2 + axis, -1).mean(axis=-1).reshape(*mask.shape[:2], -1)
        rows = np.repeat(np.arange(len(mask)), each)
        places = np.array([[_draw(share, rng) for share in shares[row]] for row in rows])
        return cls(axis, rows, places)

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The cuts of an array (n, G, h, k, E), with one bin along the other axes.

        >>> cuts = Cuts(2, np.array([1]), np.array([[3]]))
        >>> cuts.of(np.arange(24).reshape(2, 1, 2, 2, 3)).tolist()
        [[[[[21, 22, 23]]]]]
        """
        last = np.moveaxis(array, 2 + self.axis, -1)
        flat = last.reshape(*array.shape[:2], -1, last.shape[-1])
        taken = flat[self.rows[:, None], np.arange(array.shape[1])[None], self.places]
        shape = [1, 1, 1]
        shape[self.axis] = last.shape[-1]
        return np.ascontiguousarray(taken.reshape(*taken.shape[:2], *shape))

    def spectra(self, spectra: Volumes) -> Volumes:
        """Spectra of one cut at each incident energy."""
        return Volumes(self.of(spectra.values), self.of(spectra.mask), spectra.energies[self.rows])


def _draw(share: Floats, rng: np.random.Generator) -> int:
    measured = np.flatnonzero(share >= min(0.5, share.max()))
    return int(rng.choice(measured))


def cut_out(spectra: Volumes, axis: int | None, each: int, rng: np.random.Generator) -> Volumes:
    """``each`` single cuts of every volume, or the spectra as they are where ``axis`` is None."""
    return spectra if axis is None else Cuts.draw(spectra.mask, axis, each, rng).spectra(spectra)


def rows_of(chosen: NDArray[Any], each: int) -> NDArray[np.int64]:
    """Where `cut_out` puts the cuts of the chosen spectra; they themselves where nothing was cut (0).

    >>> rows_of(np.array([0, 2]), 0).tolist(), rows_of(np.array([0, 2]), 2).tolist()
    ([0, 2], [0, 1, 4, 5])
    """
    chosen = np.asarray(chosen, dtype=np.int64)
    return chosen if each == 0 else (each * chosen[:, None] + np.arange(each)).ravel()
