"""Mantid's MDHistoWorkspace as a `Histogram`, and a result in the workspace's own convention.

Nothing here imports Mantid: a workspace is anything with its methods. The rules are those of the files
(:mod:`mantid_exp2sim.io.mdhisto`): the intensity is what Mantid displays, signal / divisor, and its
variance error² / divisor² (:mod:`mantid_exp2sim.io.mdhisto.normalization`); a bin was not measured where
signal or error is not finite, or where there are no events although other bins have some. Mantid keeps
extents as float32, so the edges are float32 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Axis, Floats, Histogram
from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.mdhisto.normalization import compute_divisor, find_empty_bins


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Copies of all that a workspace held: nothing in it dangles when the workspace goes.

    Parameters
    ----------
    histogram
        The intensity that Mantid displays, with its variance.
    signal, error_squared
        What the workspace holds, float64.
    weight
        Signal over intensity, float64: the number of events, the volume of a bin, or 1.
    """

    histogram: Histogram
    signal: Floats
    error_squared: Floats
    weight: Floats

    def fill(self, intensity: Floats, variance: npt.ArrayLike = 0.0) -> tuple[Floats, Floats]:
        """Return signal and error² of values for the measured bins; the others have their old numbers."""
        mask = self.histogram.mask
        signal = np.where(mask, self.signal, intensity * self.weight)
        return signal, np.where(mask, self.error_squared, np.asarray(variance) * self.weight**2)


def read(workspace: Any, *, incident_energy: float | None = None) -> Snapshot:
    """Copy an MDHistoWorkspace.

    Parameters
    ----------
    workspace
        An MDHistoWorkspace, or anything with its methods.
    incident_energy
        meV; None takes the sample log ``Ei``, where there is one.

    Raises `Exp2SimError` if a dimension has no bins, an error² is negative, or the runs have different
    incident energies.

    Examples
    --------
    In Mantid, with an MDHistoWorkspace ``ws``: ``read(ws).histogram.shape``.
    """
    signal, errors, events = (
        np.array(array, dtype=np.float64, order="C", copy=True)
        for array in (
            workspace.getSignalArray(),
            workspace.getErrorSquaredArray(),
            workspace.getNumEventsArray(),
        )
    )
    mask = ~np.isfinite(signal) | ~np.isfinite(errors) | find_empty_bins(events)
    dimensions = axes(workspace)
    weight = compute_divisor(int(workspace.displayNormalization()), events, dimensions)
    energy = logged_incident_energy(workspace) if incident_energy is None else incident_energy
    metadata: dict[str, Any] = {"title": str(workspace.getTitle())} if workspace.getTitle() else {}
    if energy is not None:
        metadata["incident_energy"] = float(energy)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        intensity, variance = (np.where(mask, np.nan, part) for part in (signal / weight, errors / weight**2))
    return Snapshot(Histogram(intensity, variance, mask, dimensions, metadata), signal, errors, weight)


def write(workspace: Any, signal: Floats, error_squared: Floats) -> None:
    """Put signal and error² into a workspace, so that viewers show them and not its original events."""
    workspace.setSignalArray(signal)
    workspace.setErrorSquaredArray(error_squared)
    if hasattr(workspace, "clearOriginalWorkspaces"):
        workspace.clearOriginalWorkspaces()


def axes(workspace: Any) -> tuple[Axis, ...]:
    """Return the dimensions of a workspace, in its order, with the float32 edges that Mantid works with."""
    return tuple(_axis(workspace.getDimension(i)) for i in range(workspace.getNumDims()))


def _axis(dimension: Any) -> Axis:
    frame = str(dimension.getMDFrame().name())
    edges = np.array([dimension.getX(i) for i in range(dimension.getNBins() + 1)], dtype=np.float64)
    return Axis(str(dimension.name), edges, unit=str(dimension.getUnits()), frame=frame)


def logged_incident_energy(workspace: Any) -> float | None:
    """Return the incident energy in meV that the runs of a workspace logged as ``Ei``, or None.

    Raises `Exp2SimError` if the runs have different incident energies.
    """
    runs = [workspace.getExperimentInfo(i).run() for i in range(workspace.getNumExperimentInfo())]
    logs = [_mean(run.getProperty("Ei").value) for run in runs if run.hasProperty("Ei")]
    energies = [energy for energy in logs if energy is not None]
    energy = common_energy(energies)
    if energies and energy is None:
        listed = ", ".join(f"{value:g}" for value in sorted(set(energies)))
        raise Exp2SimError(
            f"The runs of this workspace have different incident energies ({listed} meV).",
            reason="A model takes one incident energy at a time.",
            fix="Make one workspace for each incident energy, or set IncidentEnergy.",
        )
    return energy


def sample_and_instrument(workspace: Any) -> dict[str, Any]:
    """Return the instrument and the lattice (Å, degrees) of the first run, as metadata, where it has them."""
    metadata: dict[str, Any] = {}
    if not workspace.getNumExperimentInfo():
        return metadata
    run = workspace.getExperimentInfo(0)
    name = str(run.getInstrument().getName())
    if name:
        metadata["instrument"] = name
    if run.sample().hasOrientedLattice():
        lattice = run.sample().getOrientedLattice()
        metadata["lattice"] = {constant: float(getattr(lattice, constant)()) for constant in CELL}
    return metadata


def _mean(value: Any) -> float | None:
    """Return a log's value, or the mean of a series, where it is a positive number."""
    try:
        number = float(np.mean(np.asarray(value, dtype=np.float64)))
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None
