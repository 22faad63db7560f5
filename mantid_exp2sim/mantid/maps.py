"""Maps: optional outputs of an algorithm that are workspaces like its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim import mosaic
from mantid_exp2sim.inference import axis_order
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats, Histogram
    from mantid_exp2sim.mantid.workspace import Snapshot


def declare(algorithm: Any, key: str, text: str) -> None:
    """Declare the property of maps: the name of a workspace or a group, which get the history of the run.

    ``text`` says of what.
    """
    from mantid.api import PropertyMode, WorkspaceProperty
    from mantid.kernel import Direction

    algorithm.declareProperty(
        WorkspaceProperty(key, "", Direction.Output, PropertyMode.Optional),
        f"Name for {text}, with the bins of the input. "
        "Of several workspaces each has one, in a group of this name. Empty makes none.",
    )


def asked(algorithm: Any, key: str) -> bool:
    """Say whether these maps are asked for."""
    return bool(algorithm.getPropertyValue(key))


def names(algorithm: Any, key: str, inputs: Sequence[str]) -> list[str]:
    """Return the names that the maps of these workspaces take, their group's too.

    A single map has the name that is asked for; of several each adds the name of its workspace.
    """
    if not asked(algorithm, key):
        return []
    title = str(algorithm.getPropertyValue(key))
    return [title] if len(inputs) == 1 else [title, *(f"{title}_{name}" for name in inputs)]


def store(
    algorithm: Any,
    key: str,
    inputs: Mapping[str, Any],
    snapshots: Mapping[str, Snapshot],
    maps: Sequence[Floats],
) -> None:
    """Make maps the output of the property ``key``, one for each of the workspaces ``inputs``.

    ``snapshots`` holds what was read of them, and ``maps`` the values of each in its own axis order.
    """
    from mantid.api import AnalysisDataService

    outputs = []
    for (name, workspace), values in zip(inputs.items(), maps, strict=True):
        output = mdalgorithm.clone(algorithm, workspace)
        mdworkspace.write(output, *snapshots[name].fill(values))
        outputs.append(output)
    if len(outputs) == 1:
        algorithm.setProperty(key, outputs[0])
        return
    members = names(algorithm, key, list(inputs))[1:]
    for name, output in zip(members, outputs, strict=True):
        AnalysisDataService.addOrReplace(name, output)
    group = mdalgorithm.child(algorithm, "GroupWorkspaces", {"InputWorkspaces": members})
    algorithm.setProperty(key, group)


def parts(snapshots: Mapping[str, Snapshot], maps: Sequence[Histogram]) -> list[Floats]:
    """Return the map of each workspace in its own axis order, from one of each, or a mosaic for all."""
    if not mosaic.is_mosaic(maps[0]):
        return [part.intensity for part in maps]
    volumes = {volume.metadata["incident_energy"]: volume for volume in mosaic.split(maps[0])}
    histograms = [snapshot.histogram for snapshot in snapshots.values()]
    energies = [
        min(volumes, key=lambda energy: abs(energy - histogram.metadata["incident_energy"]))
        for histogram in histograms
    ]
    return [
        axis_order.from_volume(volumes[energy].intensity, histogram.axes)
        for energy, histogram in zip(energies, histograms, strict=True)
    ]
