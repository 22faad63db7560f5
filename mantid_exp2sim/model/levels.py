"""How bright the training data are: what measurements in any unit are brought to before a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

TOP = 1e-3
"""The brightest share of the bins counts as bright as the others at most: single spikes set no scale."""


class IntensityLevels(BaseModel):
    """Typical root mean square of the measured intensities at each incident energy of a card.

    The root mean square moves less than the mean does with a background, and hardly with the mask.

    >>> levels = IntensityLevels(rms=(2.0,), bins=3.0)
    >>> levels.factor(np.array([[1.0, 1.0, 1.0, 9.0]]), np.array([[False, False, False, True]]), [0])
    2.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rms: tuple[Annotated[float, Field(gt=0, lt=1e30)], ...] = Field(min_length=1, max_length=1000)
    bins: float = Field(gt=0)
    """Measured bins of one volume, on average."""

    def factor(
        self, values: NDArray[Any], mask: NDArray[np.bool_], rows: Sequence[int], *, least: float = 0.0
    ) -> float | None:
        """Return the factor from the intensities of one spectrum to these levels.

        Parameters
        ----------
        values, mask
            (V, h, k, E) in any unit; True = not measured.
        rows
            Of each volume, the number of its incident energy on the card.
        least
            Where less than this share of the usual bins is measured, or all is dark, there is no factor.
        """
        measured = ~mask.reshape(len(mask), -1)
        counts = measured.sum(axis=1)
        volumes = int((counts > 0).sum())
        if counts.sum() < max(least * self.bins * volumes, 1.0):
            return None
        squares = cut_squares(values.reshape(measured.shape)[measured])
        expected = float((counts * np.square(self.rms)[list(rows)]).sum())
        total = float(squares.sum())
        return float(np.sqrt(expected / total)) if 0 < total < np.inf else None


def cut_squares(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return squares of intensities (n,), the brightest `TOP` of them as bright as the next."""
    with np.errstate(over="ignore"):
        squares = np.square(values, dtype=np.float64)
    last = max(int((1 - TOP) * squares.size) - 1, 0)
    return np.asarray(np.minimum(squares, np.partition(squares, last)[last]))
