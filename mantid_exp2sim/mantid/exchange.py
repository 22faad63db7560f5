"""Workspaces of Mantid as histograms and back, for scripts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.histogram import Histogram, require_histogram
from mantid_exp2sim.io import save
from mantid_exp2sim.mantid.workspace import read, sample_and_instrument

EQUAL_WIDTHS = 1e-3
"""Widths of bins count as equal to this share."""


def from_workspace(workspace: Any, *, incident_energy: float | None = None) -> Histogram:
    """Copy an MDHistoWorkspace, given itself or by its name, to a histogram.

    The intensity is what Mantid displays, with its variance; bins without events are masked. Title, incident
    energy (meV; None: the sample log ``Ei``), instrument and lattice are in the metadata.

    Raises
    ------
    Exp2SimError
        If there is no such workspace, it is none of bins, or its runs have different incident energies.
    """
    source = _retrieve(workspace) if isinstance(workspace, str) else workspace
    if not hasattr(source, "getNumEventsArray"):
        raise Exp2SimError(
            f"{workspace} is no MDHistoWorkspace.",
            reason="A histogram has bins.",
            fix="Bin the data first, with BinMD, MDNorm or CutMD.",
        )
    histogram = read(source, incident_energy=incident_energy).histogram
    return histogram.replace(metadata={**sample_and_instrument(source), **histogram.metadata})


def to_workspace(histogram: Histogram, name: str) -> Any:
    """Put a histogram into Mantid as an MDHistoWorkspace of this name, and return that.

    It goes through a file that Mantid loads, so it has what a saved file has: axes, errors, gaps, incident
    energy and lattice. Mantid keeps the ends of axes as float32, and bins of equal width alone.

    Raises
    ------
    Exp2SimError
        If Mantid is not there, or cannot hold such axes.
    """
    require_histogram(histogram)
    require(name, str, "the name of a workspace", fix="Give a name, such as 'sharp'.")
    _require_equal_bins(histogram)
    _require_mantid()
    from mantid.simpleapi import LoadMD

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "histogram.nxs"
        save(histogram, path)
        return LoadMD(str(path), OutputWorkspace=name)


def _require_equal_bins(histogram: Histogram) -> None:
    for axis in histogram.axes:
        if not np.allclose(axis.widths, axis.widths.mean(), rtol=EQUAL_WIDTHS):
            raise Exp2SimError(
                f"The bins of axis {axis.name!r} have different widths.",
                reason="Those of a workspace are equal along an axis.",
                fix="Make them equal first with histogram.rebin.",
            )


def _retrieve(name: str) -> Any:
    _require_mantid()
    from mantid.api import AnalysisDataService

    if not AnalysisDataService.doesExist(name):
        listed = ", ".join(AnalysisDataService.getObjectNames()) or "none"
        raise Exp2SimError(
            f"There is no workspace {name!r}.", reason=f"There are {listed}.", fix="Name one of these."
        )
    return AnalysisDataService.retrieve(name)


def _require_mantid() -> None:
    try:
        import mantid  # noqa: F401
    except ImportError as error:
        raise Exp2SimError(
            "Mantid is not there.",
            reason="Workspaces live in it.",
            fix="Run this in MantidWorkbench, or save a .nxs file that it loads: mantid_exp2sim.save.",
        ) from error
