"""Tell the errors of the package in the words of a Mantid dialog or log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import (
    AxisError,
    Exp2SimError,
    IncidentEnergyError,
    IncompleteMosaicError,
    NotFiniteError,
    OptionError,
    OutsideDomainError,
)

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.model.card import Card

_FIXES: Mapping[type[Exp2SimError], str] = {
    AxisError: "Cut or integrate the data to these axes with CutMD, IntegrateMD or BinMD.",
    IncompleteMosaicError: "Give one workspace for each incident energy and set AsOneMeasurement, "
    "or use another model.",
    NotFiniteError: "Check the units of the data, or set ScaleFactor or AutoScale.",
    OutsideDomainError: "Check axes, units and gaps (CheckModelDomainMD), set Method or "
    "use another model, or set Force.",
}
_OPTIONS = {
    "scale": "Set ScaleFactor to a number, and leave AutoScale out.",
    "tile": "Set TileSize to 0, which chooses it, or to a larger number.",
}
_UNITS_OF_HKL = re.compile(r"r\.l\.u|in [0-9.]+ A\^-1")
"""Units of an axis that SetMDFrame puts into the frame HKL."""


def words(error: Exp2SimError, energies: str = "IncidentEnergy") -> str:
    """Return the text of an error with a fix that there is in Mantid.

    ``energies`` is the algorithm's property for incident energies.

    >>> words(NotFiniteError("The network's result is not finite.", fix="Set `scale`."))
    "The network's result is not finite. Check the units of the data, or set ScaleFactor or AutoScale."
    """
    if isinstance(error, IncidentEnergyError):
        if error.value is not None:
            return str(error)
        reason = "The workspace has no sample log Ei."
        fix = f"Set {energies} in meV, or add the log with AddSampleLog before the data are binned."
        return str(Exp2SimError(error.summary, reason=reason, fix=fix))
    if isinstance(error, AxisError) and error.kind and error.wrong == "bins":
        fix = "Bin the events again with BinMD, or use a model made for this binning."
        return str(Exp2SimError(error.summary, reason=error.reason, fix=fix))
    if isinstance(error, AxisError) and (error.kind or error.wrong != "axes"):
        return str(error)
    option = error.option if isinstance(error, OptionError) else ""
    fix = _OPTIONS.get(option) or _FIXES.get(type(error)) or error.fix
    return str(Exp2SimError(error.summary, reason=error.reason, fix=fix))


def data_words(
    error: Exp2SimError, card: Card, histogram: Histogram | None, name: str, energies: str = "IncidentEnergy"
) -> str:
    """Return the text as `words` does; for a frame that was refused with the call that sets it right.

    ``histogram`` is what the workspace ``name`` holds, or None. SetMDFrame keeps the unit of an axis, and
    takes HKL for one in reciprocal lattice units only.
    """
    if histogram is None or not isinstance(error, AxisError) or error.wrong != "frame":
        return words(error, energies)
    for rule in card.axes:
        place = card.projection.places(histogram.axes).get(rule.kind)
        position = None if place is None else place.position
        if position is None or not rule.frames or histogram.axes[position].frame in rule.frames:
            continue
        unit = histogram.axes[position].unit
        frames = [frame for frame in rule.frames if frame != "HKL" or _UNITS_OF_HKL.fullmatch(unit)]
        if frames:
            call = f'SetMDFrame(InputWorkspace="{name}", MDFrame="{frames[0]}", Axes=[{position}])'
            fix = f"If the axis is what its name says, {call} sets the frame."
            return str(Exp2SimError(error.summary, reason=error.reason, fix=fix))
    return words(error, energies)
