"""The errors of the package in the words of a Mantid dialog or log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.model.card import Card

WAYS_OUT = {
    "The incident energy of the data is not known": "The workspace has no sample log Ei. Set IncidentEnergy "
    "in meV, or add the log with AddSampleLog before the data are binned.",
    "are not those of the model": "Cut or integrate the data to these axes with CutMD, IntegrateMD or BinMD.",
    "takes together": "Give one workspace for each incident energy and set AsOneMeasurement, "
    "or use another model.",
    "not finite": "Check the units of the data, or set ScaleFactor or AutoScale.",
    "scale='auto'": "Set ScaleFactor to a number, and leave AutoScale out.",
    "outside what the model": "Check axes, units and gaps (CheckModelDomainMD), use another model, "
    "or set Force.",
    "The tile size": "Set TileSize to 0, which chooses it, or to a larger number.",
}
"""What a user of Mantid can do, by a part of what went wrong."""
_UNITS_OF_HKL = re.compile(r"r\.l\.u|in [0-9.]+ A\^-1")
"""Units of an axis that SetMDFrame puts into the frame HKL."""


def words(error: Exp2SimError) -> str:
    """An error with a way out that there is in Mantid.

    >>> words(Exp2SimError("The network's result is not finite.", fix="Set `scale`."))
    "The network's result is not finite. Check the units of the data, or set ScaleFactor or AutoScale."
    """
    for part, fix in WAYS_OUT.items():
        if part in error.summary:
            why = "" if part.startswith("The incident energy") else error.reason
            return str(Exp2SimError(error.summary, reason=why, fix=fix))
    return str(error)


def data_words(error: Exp2SimError, card: Card, histogram: Histogram, name: str) -> str:
    """As `words`; a frame that was refused is told with the call that sets it right.

    ``histogram`` is what the workspace ``name`` holds. SetMDFrame keeps the unit of an axis, and takes HKL
    for one in reciprocal lattice units only.
    """
    if "has the frame" not in error.summary:
        return words(error)
    for rule in card.axes:
        position = histogram.find_axis(rule.kind)
        if position is None or not rule.frames or histogram.axes[position].frame in rule.frames:
            continue
        unit = histogram.axes[position].unit
        frames = [frame for frame in rule.frames if frame != "HKL" or _UNITS_OF_HKL.fullmatch(unit)]
        if frames:
            call = f'SetMDFrame(InputWorkspace="{name}", MDFrame="{frames[0]}", Axes=[{position}])'
            fix = f"If the axis is what its name says, {call} sets the frame."
            return str(Exp2SimError(error.summary, reason=error.reason, fix=fix))
    return words(error)
