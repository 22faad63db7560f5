"""What DeconvolveMD takes out: optional workspaces, and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mantid_exp2sim.mantid import maps as mdmaps

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.mantid.workspace import Snapshot

PARTS = "What is taken out"
WORKSPACES = {"removed": "RemovedWorkspace", "residual": "ResidualWorkspace"}


def declare(algorithm: Any) -> None:
    """Declare the workspaces of background and residual, and whether the background stays."""
    from mantid_exp2sim.mantid import properties as mdproperties

    mdmaps.declare(algorithm, WORKSPACES["removed"], "the background that was taken out")
    mdmaps.declare(algorithm, WORKSPACES["residual"], "what is left of the data beyond result and background")
    text = "Leave the background in the result, not sharpened."
    algorithm.declareProperty("KeepBackground", False, text)
    mdproperties.group(algorithm, PARTS, *WORKSPACES.values(), "KeepBackground")


def asked(algorithm: Any) -> bool:
    """Say whether background and residual are needed."""
    if not algorithm.existsProperty("KeepBackground"):
        return False
    workspaces = any(mdmaps.asked(algorithm, key) for key in WORKSPACES.values())
    return workspaces or bool(algorithm.getProperty("KeepBackground").value)


def finish(
    algorithm: Any, workspace: Any, snapshot: Snapshot, before: Histogram, translation: Translation
) -> Histogram:
    """Make the optional workspaces, tell the loss of intensity, and return what the result is to hold."""
    from mantid_exp2sim.application.intensity import lost_intensity
    from mantid_exp2sim.inference.parts import with_background

    if not algorithm.existsProperty("KeepBackground"):
        return translation.histogram
    name = str(workspace.name())
    for part, key in WORKSPACES.items():
        histogram = getattr(translation, part)
        if histogram is not None and mdmaps.asked(algorithm, key):
            mdmaps.store(algorithm, key, {name: workspace}, {name: snapshot}, [histogram.intensity])
    keep = bool(algorithm.getProperty("KeepBackground").value)
    result = with_background(translation) if keep else translation.histogram
    if translation.put_back_through:
        algorithm.log().notice(f"The result was put back through {translation.put_back_through}.")
    lost = lost_intensity(before, result)
    algorithm.log().notice(lost.words)
    for text in lost.warnings:
        algorithm.log().warning(text)
    return result
