"""The maps of ClassifySpinWavesMD: what the classifier looked at, as workspaces like the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim import mosaic
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats, Histogram

PROPERTY = "MapWorkspace"


def declare(algorithm: Any) -> None:
    """Declare the name of the maps: a workspace or a group, which get the history of the run."""
    from mantid.api import PropertyMode, WorkspaceProperty
    from mantid.kernel import Direction

    algorithm.declareProperty(
        WorkspaceProperty(PROPERTY, "", Direction.Output, PropertyMode.Optional),
        "Name for a map of what the classifier looked at, with the bins of the input. "
        "Of several workspaces each has one, in a group of this name. Empty makes none.",
    )


def wanted(algorithm: Any) -> bool:
    """Whether maps are asked for."""
    return bool(algorithm.getPropertyValue(PROPERTY))


def names(algorithm: Any, inputs: Sequence[str]) -> list[str]:
    """The names that the maps of these workspaces take, their group's too.

    A single map has the name that is asked for; of several each adds the name of its workspace.
    """
    if not wanted(algorithm):
        return []
    title = str(algorithm.getPropertyValue(PROPERTY))
    return [title] if len(inputs) == 1 else [title, *(f"{title}_{name}" for name in inputs)]


def store(
    algorithm: Any,
    inputs: Mapping[str, Any],
    energies: Sequence[float | None],
    maps: Sequence[Histogram],
) -> None:
    """Make the maps the output of the algorithm, one for each of the workspaces ``inputs``.

    ``energies`` holds the incident energy given for each, None where its log was taken. ``maps`` holds one
    for each workspace, or one mosaic for all of them.
    """
    from mantid.api import AnalysisDataService

    made = {}
    for number, (name, workspace) in enumerate(inputs.items()):
        snapshot = mdworkspace.read(workspace, incident_energy=energies[number])
        made[name] = _workspace(algorithm, workspace, snapshot, _part(maps, number, snapshot.histogram))
    if len(made) == 1:
        algorithm.setProperty(PROPERTY, next(iter(made.values())))
        return
    members = names(algorithm, list(made))[1:]
    for name, workspace in zip(members, made.values(), strict=True):
        AnalysisDataService.addOrReplace(name, workspace)
    group = mdalgorithm.child(algorithm, "GroupWorkspaces", {"InputWorkspaces": members})
    algorithm.setProperty(PROPERTY, group)


def _part(maps: Sequence[Histogram], number: int, histogram: Histogram) -> Floats:
    """The map of one workspace in its own axis order."""
    if not mosaic.is_mosaic(maps[0]):
        return maps[number].intensity
    energy = mdinputs.nominal(histogram).metadata.get("incident_energy")
    volumes = {volume.metadata["incident_energy"]: volume for volume in mosaic.split(maps[0])}
    return mdworkspace.out_of_order(volumes[energy].intensity, histogram)


def _workspace(algorithm: Any, workspace: Any, snapshot: mdworkspace.Snapshot, values: Floats) -> Any:
    """A copy of a workspace with the map as its signal; bins that were not measured keep theirs."""
    output = mdalgorithm.clone(algorithm, workspace)
    kept = snapshot.histogram.mask
    output.setSignalArray(np.where(kept, snapshot.signal, values * snapshot.weight))
    output.setErrorSquaredArray(np.where(kept, snapshot.error_squared, 0.0))
    if hasattr(output, "clearOriginalWorkspaces"):
        output.clearOriginalWorkspaces()  # else viewers rebin from the events and ignore the result
    return output
