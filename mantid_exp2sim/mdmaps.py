"""The maps of ClassifySpinWavesMD: what the classifier looked at, as workspaces like the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim import mdalgorithm, mdworkspace, mosaic

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Floats, Histogram

PROPERTY = "MapWorkspace"


def declare(algorithm: Any) -> None:
    """Declare the name of the maps."""
    algorithm.declareProperty(
        PROPERTY,
        "",
        "Name for a map of what the classifier looked at, with the bins of the input. "
        "Of several workspaces each has one, in a group of this name. Empty makes none.",
    )


def wanted(algorithm: Any) -> bool:
    """Whether maps are asked for."""
    return bool(str(algorithm.getProperty(PROPERTY).value))


def store(
    algorithm: Any,
    inputs: Mapping[str, Any],
    energies: Sequence[float | None],
    maps: Sequence[Histogram],
) -> None:
    """Put the maps into the data service, one for each of the workspaces ``inputs``.

    ``energies`` holds the incident energy given for each, None where its log was taken. ``maps`` holds one
    for each workspace, or one mosaic for all of them.
    """
    from mantid.api import AlgorithmManager, AnalysisDataService

    title = str(algorithm.getProperty(PROPERTY).value)
    made = {}
    for number, (name, workspace) in enumerate(inputs.items()):
        snapshot = mdworkspace.read(workspace, incident_energy=energies[number])
        made[name] = _workspace(algorithm, workspace, snapshot, _part(maps, number, snapshot.histogram))
    if len(made) == 1:
        AnalysisDataService.addOrReplace(title, next(iter(made.values())))
        return
    names = [f"{title}_{name}" for name in made]
    for name, workspace in zip(names, made.values(), strict=True):
        AnalysisDataService.addOrReplace(name, workspace)
    group = AlgorithmManager.createUnmanaged("GroupWorkspaces")
    group.initialize()
    group.setLogging(False)
    group.setProperty("InputWorkspaces", names)
    group.setProperty("OutputWorkspace", title)
    group.execute()


def _part(maps: Sequence[Histogram], number: int, histogram: Histogram) -> Floats:
    """The map of one workspace in its own axis order."""
    from mantid_exp2sim.mdclassify import nominal

    if not mosaic.is_mosaic(maps[0]):
        return maps[number].intensity
    energy = nominal(histogram).metadata.get("incident_energy")
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
