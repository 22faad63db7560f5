"""Volumes of several samples, as training, calibration and evaluation pass them on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Volumes:
    """n samples of G volumes (h, k, E) in physical units.

    >>> volumes = Volumes(np.ones((2, 1, 1, 1, 2)), np.array([[[[[False, True]]]]] * 2), np.ones((2, 1)))
    >>> volumes.means.tolist(), len(volumes[:1])
    ([1.0, 1.0], 1)
    """

    values: NDArray[Any]
    """(n, G, h, k, E)"""
    mask: NDArray[np.bool_]
    """(n, G, h, k, E), True = not measured."""
    energies: NDArray[Any]
    """Incident energies in meV, (n, G)."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> Volumes:
        """Select samples."""
        return Volumes(self.values[rows], self.mask[rows], self.energies[rows])

    def filled(self, values: NDArray[Any]) -> Volumes:
        """Put other values into the same bins, 0 where not measured."""
        return replace(self, values=np.where(self.mask, np.zeros((), values.dtype), values))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean over the measured bins of each sample, (n,)."""
        measured = ~self.mask
        total = np.where(measured, self.values, 0).sum(axis=(1, 2, 3, 4), dtype=float)
        means: NDArray[np.float64] = total / np.maximum(measured.sum(axis=(1, 2, 3, 4)), 1)
        return means

    def of_means(self, means: NDArray[np.float64]) -> Volumes:
        """Scale each sample to a mean over its measured bins, float32."""
        factor = means / np.maximum(self.means, 1e-12)
        return replace(self, values=(self.values * factor[:, None, None, None, None]).astype(np.float32))
