"""Mantid's workspaces in the window: read, and written as new ones. Mantid is imported where it is used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.session import Entry
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram


def in_mantid() -> bool:
    """Say whether this Python runs with Mantid loaded."""
    return "mantid" in sys.modules


def workspace_names() -> list[str]:
    """Return the names of all MDHistoWorkspaces."""
    return [name for name in _service().getObjectNames() if _is_histogram(_service().retrieve(name))]


def selected_names() -> list[str]:
    """Return the MDHistoWorkspaces that are selected in Workbench's list, none where there is no list."""
    from qtpy.QtWidgets import QApplication

    names: list[str] = []
    for widget in QApplication.allWidgets():
        ask = getattr(widget, "getSelectedWorkspaceNames", None)
        if ask is not None:
            names += [str(name) for name in ask()]
    histograms = set(workspace_names())
    return [name for name in dict.fromkeys(names) if name in histograms]


def workspace_entry(name: str) -> Entry:
    """Copy a workspace as an entry, with instrument and lattice of its first run.

    Raises
    ------
    Exp2SimError
        If there is no such MDHistoWorkspace.
    """
    service = _service()
    if not service.doesExist(name) or not _is_histogram(service.retrieve(name)):
        raise Exp2SimError(
            f"There is no MDHistoWorkspace {name!r}.", fix="Bin events with BinMD or CutMD first."
        )
    workspace = service.retrieve(name)
    histogram = mdworkspace.read(workspace).histogram
    about = mdworkspace.sample_and_instrument(workspace)
    return Entry(name, histogram.replace(metadata={**about, **histogram.metadata}), workspace=name)


def write_workspace(histogram: Histogram, source: str, name: str) -> None:
    """Put a histogram with the bins of the workspace ``source`` into a new workspace.

    Raises
    ------
    Exp2SimError
        If there is a workspace ``name`` already, or ``source`` has gone.
    """
    from mantid import simpleapi

    service = _service()
    if service.doesExist(name):
        raise Exp2SimError(f"There is a workspace {name!r} already.", fix="Rename or delete it first.")
    if not service.doesExist(source):
        raise Exp2SimError(f"The workspace {source!r} has gone.", fix="Save the result as a file.")
    snapshot = mdworkspace.read(service.retrieve(source))
    copy = simpleapi.CloneMDWorkspace(InputWorkspace=source, OutputWorkspace=name)
    mdworkspace.write(copy, *snapshot.fill(histogram.intensity, histogram.variance))


def _service() -> Any:
    from mantid.api import AnalysisDataService

    return AnalysisDataService


def _is_histogram(workspace: Any) -> bool:
    return hasattr(workspace, "getErrorSquaredArray")
