"""The workspaces that an algorithm is given by their names, and that no output takes their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import words as mdwords

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.model.bundle import Bundle

SAME_ENERGY = 0.05
"""Relative distance within which an incident energy counts as one of a mosaic's."""


def workspaces(algorithm: Any) -> dict[str, Any]:
    """The workspaces that are named, groups replaced by their members, each once.

    Raises
    ------
    Exp2SimError
        If there are none, or one is no MDHistoWorkspace.
    """
    from mantid.api import AnalysisDataService, IMDHistoWorkspace, WorkspaceGroup

    found: dict[str, Any] = {}
    names = names_given(algorithm)
    while names:
        name = names.pop(0)
        if not AnalysisDataService.doesExist(name):
            raise Exp2SimError(f"There is no workspace {name!r}.")
        workspace = AnalysisDataService.retrieve(name)
        if isinstance(workspace, WorkspaceGroup):
            names = [*(str(member) for member in workspace.getNames()), *names]
        elif isinstance(workspace, IMDHistoWorkspace):
            found[name] = workspace
        else:
            raise Exp2SimError(
                f"The workspace {name!r} is a {workspace.id()}.",
                reason="Models take MDHistoWorkspaces.",
                fix="Bin event workspaces with BinMD first.",
            )
    if not found:
        raise Exp2SimError("No workspace is given.")
    return found


def names_given(algorithm: Any) -> list[str]:
    """The names in ``InputWorkspace``, of workspaces or groups."""
    return [str(name) for name in algorithm.getProperty("InputWorkspace").value]


def clashes(inputs: Iterable[str], outputs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Messages where an output takes the place of an input, or of another output.

    ``outputs`` holds pairs of a property and a name that it writes; an empty name is none. The data service
    finds names without regard to case.

    >>> clashes(["ws"], [("OutputWorkspace", "table"), ("MapWorkspace", "WS")])
    {'MapWorkspace': "'WS' would replace the input of that name. Give MapWorkspace another name."}
    """
    places = {name.lower(): "the input of that name" for name in inputs if name}
    found: dict[str, str] = {}
    for key, name in outputs:
        if not name:
            continue
        if name.lower() in places:
            text = f"{name!r} would replace {places[name.lower()]}. Give {key} another name."
            found.setdefault(key, text)
        places.setdefault(name.lower(), f"the result of {key}")
    return found


def validate(bundle: Bundle, name: str, histogram: Histogram) -> None:
    """Raise `Exp2SimError`, which tells the workspace, where the model does not take it."""
    from mantid_exp2sim.inference.volumes import open_volumes

    try:
        open_volumes(histogram, bundle.card)
    except Exp2SimError as error:
        text = mdwords.data_words(error, bundle.card, histogram, name)
        raise Exp2SimError(f"{name}: {text}" if name else text) from error


def nominal(volume: Histogram) -> Histogram:
    """The same volume, with the incident energy of the mosaic that is meant by its own one."""
    from mantid_exp2sim.mosaic import INCIDENT_ENERGIES

    logged = volume.metadata.get("incident_energy")
    if logged is None:
        return volume
    nearest = min(INCIDENT_ENERGIES, key=lambda energy: abs(energy - logged))
    if abs(nearest - logged) > SAME_ENERGY * nearest:
        return volume
    return volume.replace(metadata={**volume.metadata, "incident_energy": nearest})


def given_energies(algorithm: Any) -> Sequence[float | None]:
    """The incident energy that is given for each workspace, None where its log is taken."""
    count = len(workspaces(algorithm))
    given = mdproperties.read_numbers(algorithm, "IncidentEnergies")
    if len(given) not in (0, 1, count) or not all(0 < value < float("inf") for value in given):
        raise Exp2SimError(
            f"{len(given)} incident energies are given for {count} workspaces.",
            fix="Give none, one for all, or a positive one for each.",
        )
    return given * count if len(given) == 1 else given or [None] * count
