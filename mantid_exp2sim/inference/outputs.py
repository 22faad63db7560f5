"""The arrays that a translation writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.inference.inversion import mean_with_inversion

if TYPE_CHECKING:
    from mantid_exp2sim.inference.volumes import Volumes


def average_outputs(outputs: Iterable[Output], mask: Booleans) -> None:
    """Average the arrays of a result with their inversion.

    Variances, too: how much of them an average of two keeps is fitted with the error model.
    """
    for output in outputs:
        output.view[...] = mean_with_inversion(output.view, mask)


class Output:
    """Hold one array of a result: written block by block, in the shape and order of the histogram."""

    def __init__(self, shape: tuple[int, ...], volumes: Volumes) -> None:
        self.array: Floats = np.zeros(shape)
        self.view = volumes.open(self.array)
        self.close = volumes.close

    def finish(self, mask: Booleans) -> Floats:
        """Return it, read-only, NaN where not measured."""
        if not np.may_share_memory(self.view, self.array):
            self.array = np.array(self.close(self.view))
        self.array[mask] = np.nan
        self.array.flags.writeable = False
        return self.array
