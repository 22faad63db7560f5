"""Make the maps of ClassifySpinWavesMD: what the classifier looked at, as workspaces like the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim import mosaic
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats, Histogram
    from mantid_exp2sim.mantid.workspace import Snapshot

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


def asked(algorithm: Any) -> bool:
    """Say whether maps are asked for."""
    return bool(algorithm.getPropertyValue(PROPERTY))


def names(algorithm: Any, inputs: Sequence[str]) -> list[str]:
    """Return the names that the maps of these workspaces take, their group's too.

    A single map has the name that is asked for; of several each adds the name of its workspace.
    """
    if not asked(algorithm):
        return []
    title = str(algorithm.getPropertyValue(PROPERTY))
    return [title] if len(inputs) == 1 else [title, *(f"{title}_{name}" for name in inputs)]


def store(
    algorithm: Any, inputs: Mapping[str, Any], snapshots: Mapping[str, Snapshot], maps: Sequence[Histogram]
) -> None:
    """Make the maps the output of the algorithm, one for each of the workspaces ``inputs``.

    ``snapshots`` holds what was read of them, and ``maps`` one map for each, or one mosaic for all of them.
    """
    from mantid.api import AnalysisDataService

    outputs = []
    for (name, workspace), values in zip(inputs.items(), _parts(snapshots, maps), strict=True):
        output = mdalgorithm.clone(algorithm, workspace)
        mdworkspace.write(output, *snapshots[name].fill(values))
        outputs.append(output)
    if len(outputs) == 1:
        algorithm.setProperty(PROPERTY, outputs[0])
        return
    members = names(algorithm, list(inputs))[1:]
    for name, output in zip(members, outputs, strict=True):
        AnalysisDataService.addOrReplace(name, output)
    group = mdalgorithm.child(algorithm, "GroupWorkspaces", {"InputWorkspaces": members})
    algorithm.setProperty(PROPERTY, group)


def _parts(snapshots: Mapping[str, Snapshot], maps: Sequence[Histogram]) -> list[Floats]:
    """Return the map of each workspace in its own axis order."""
    if not mosaic.is_mosaic(maps[0]):
        return [part.intensity for part in maps]
    volumes = {volume.metadata["incident_energy"]: volume for volume in mosaic.split(maps[0])}
    histograms = [snapshot.histogram for snapshot in snapshots.values()]
    energies = [
        min(volumes, key=lambda energy: abs(energy - histogram.metadata["incident_energy"]))
        for histogram in histograms
    ]
    return [
        mdworkspace.from_volume(volumes[energy].intensity, histogram.axes)
        for energy, histogram in zip(energies, histograms, strict=True)
    ]
