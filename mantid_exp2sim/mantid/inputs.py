"""The workspaces that an algorithm is given by their names, and that no output takes their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError, IncidentEnergyError, OptionError
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import words as mdwords
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.mantid.workspace import Snapshot
    from mantid_exp2sim.model.bundle import Bundle


def workspaces(algorithm: Any) -> dict[str, Any]:
    """Return the workspaces by name, groups replaced by their members, each once.

    Raises `Exp2SimError` if there are none, or one is no MDHistoWorkspace.
    """
    from mantid.api import AnalysisDataService, IMDHistoWorkspace, WorkspaceGroup

    by_name: dict[str, Any] = {}
    names = input_names(algorithm)
    while names:
        name = names.pop(0)
        if not AnalysisDataService.doesExist(name):
            raise Exp2SimError(f"There is no workspace {name!r}.", fix="Check the name.")
        workspace = AnalysisDataService.retrieve(name)
        if isinstance(workspace, WorkspaceGroup):
            names = [*(str(member) for member in workspace.getNames()), *names]
        elif isinstance(workspace, IMDHistoWorkspace):
            by_name[name] = workspace
        else:
            raise Exp2SimError(
                f"The workspace {name!r} is a {workspace.id()}.",
                reason="Models take MDHistoWorkspaces.",
                fix="Bin event workspaces with BinMD first.",
            )
    if not by_name:
        raise Exp2SimError("There is no input.", fix="Name a workspace, or a group with members.")
    return by_name


def input_names(algorithm: Any) -> list[str]:
    """Return the names in ``InputWorkspace``, of workspaces or groups."""
    return [str(name) for name in algorithm.getProperty("InputWorkspace").value]


def read(algorithm: Any, inputs: Mapping[str, Any]) -> dict[str, Snapshot]:
    """Read workspaces, each with the incident energy that is set for it, or its log.

    Raises `Exp2SimError` if the incident energies do not fit the workspaces, or one cannot be read.
    """
    energies = _incident_energies(algorithm, len(inputs))
    return {
        name: mdworkspace.read(workspace, incident_energy=energy)
        for (name, workspace), energy in zip(inputs.items(), energies, strict=True)
    }


def _incident_energies(algorithm: Any, count: int) -> Sequence[float | None]:
    """Return the incident energy (meV) that is set for each workspace, None where its log is taken."""
    if mdalgorithm.energy_property(algorithm) == "IncidentEnergy":
        return [mdalgorithm.incident_energy(algorithm)] * count
    energies = mdproperties.read_numbers(algorithm, "IncidentEnergies")
    if len(energies) not in (0, 1, count) or not all(0 < energy < float("inf") for energy in energies):
        raise OptionError(
            f"{len(energies)} incident energies are set for {count} workspaces.",
            fix="Set none, one for all, or a positive one for each.",
            option="IncidentEnergies",
        )
    return energies * count if len(energies) == 1 else energies or [None] * count


def validate(
    algorithm: Any, bundle: Bundle, inputs: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Histogram]]:
    """Read workspaces and return the message about the first that the model does not take, by property."""
    from mantid_exp2sim.inference.volumes import open_volumes

    property_name, histograms = mdalgorithm.energy_property(algorithm), {}
    try:
        energies = _incident_energies(algorithm, len(inputs))
    except OptionError as error:
        return {error.option: str(error)}, {}
    for (name, workspace), energy in zip(inputs.items(), energies, strict=True):
        try:
            histograms[name] = mdworkspace.read(workspace, incident_energy=energy).histogram
            open_volumes(histograms[name], bundle.card)
        except Exp2SimError as error:
            text = mdwords.data_words(error, bundle.card, histograms.get(name), name, property_name)
            key = property_name if isinstance(error, IncidentEnergyError) else "InputWorkspace"
            return {key: f"{name}: {text}" if name else text}, histograms
    return {}, histograms


def clashes(inputs: Iterable[str], outputs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return messages where an output takes the place of an input, or of another output.

    ``outputs`` holds pairs of a property and a name that it writes; an empty name is none. The data service
    finds names without regard to case.

    >>> clashes(["ws"], [("OutputWorkspace", "table"), ("MapWorkspace", "WS")])
    {'MapWorkspace': "'WS' would replace the input of that name. Give MapWorkspace another name."}
    """
    places = {name.lower(): "the input of that name" for name in inputs if name}
    messages: dict[str, str] = {}
    for key, name in outputs:
        if not name:
            continue
        if name.lower() in places:
            text = f"{name!r} would replace {places[name.lower()]}. Give {key} another name."
            messages.setdefault(key, text)
        places.setdefault(name.lower(), f"the result of {key}")
    return messages
