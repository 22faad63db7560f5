"""Mantid's MDHistoWorkspace as a `Histogram`, and a result in the workspace's own convention.

Nothing here imports Mantid: a workspace is anything with its methods. The rules are those of the files
(:mod:`mantid_exp2sim.io.mdhisto`): the intensity is what Mantid displays, signal / divisor, and its
variance error² / divisor² (:mod:`mantid_exp2sim.io.mdhisto.normalization`); a bin was not measured where
signal or
error is not finite, or where there are no events although other bins have some. Mantid keeps extents as
float32, so the edges are float32 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.mdhisto.normalization import compute_divisor, find_empty_bins


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Copies of all that a workspace held: nothing in it dangles when the workspace goes.

    ``signal`` and ``error_squared`` are float64 in the workspace's own convention, ``weight`` is what an
    intensity is multiplied by to become a signal (the number of events, the volume of a bin, or 1).
    """

    histogram: Histogram
    signal: Floats
    error_squared: Floats
    weight: Floats

    def arrays(self, result: Histogram) -> tuple[Floats, Floats]:
        """Signal and error² to write for a result, float64, in the workspace's convention.

        Bins that were not measured keep the numbers they had.

        Raises
        ------
        Exp2SimError
            If the result has other bins, or another mask, than the workspace.
        """
        before = self.histogram
        if result.shape != before.shape or not np.array_equal(result.mask, before.mask):
            raise Exp2SimError(f"The result has shape {result.shape}, or another mask than the workspace.")
        kept = before.mask
        signal = np.where(kept, self.signal, result.intensity * self.weight)
        errors = np.where(kept, self.error_squared, result.variance * self.weight**2)
        return signal, errors


def read(workspace: Any, *, incident_energy: float | None = None) -> Snapshot:
    """Copy an MDHistoWorkspace.

    Parameters
    ----------
    workspace
        An MDHistoWorkspace, or anything with its methods.
    incident_energy
        meV; None takes the sample log ``Ei``, where there is one.

    Raises
    ------
    Exp2SimError
        If a dimension has no bins, an error² is negative, or the runs have different incident energies.

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
    known = {"title": str(workspace.getTitle())} if workspace.getTitle() else {}
    energy = logged_incident_energy(workspace) if incident_energy is None else incident_energy
    metadata: dict[str, Any] = known if energy is None else {**known, "incident_energy": float(energy)}
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        intensity, variance = (np.where(mask, np.nan, part) for part in (signal / weight, errors / weight**2))
    histogram = Histogram(intensity, variance, mask, dimensions, metadata)
    return Snapshot(histogram, signal, errors, weight)


def axes(workspace: Any) -> tuple[Axis, ...]:
    """The dimensions of a workspace, in its order, with the float32 edges that Mantid works with."""
    return tuple(_axis(workspace.getDimension(i)) for i in range(workspace.getNumDims()))


def _axis(dimension: Any) -> Axis:
    frame = str(dimension.getMDFrame().name())
    edges = np.array([dimension.getX(i) for i in range(dimension.getNBins() + 1)], dtype=np.float64)
    return Axis(str(dimension.name), edges, unit=str(dimension.getUnits()), frame=frame)


def logged_incident_energy(workspace: Any) -> float | None:
    """The incident energy in meV that the runs of a workspace logged as ``Ei``, or None.

    Raises
    ------
    Exp2SimError
        If the runs have different ones.
    """
    runs = [workspace.getExperimentInfo(i).run() for i in range(workspace.getNumExperimentInfo())]
    logged = [_number(run.getProperty("Ei").value) for run in runs if run.hasProperty("Ei")]
    energies = [energy for energy in logged if energy is not None]
    energy = common_energy(energies)
    if energies and energy is None:
        listed = ", ".join(f"{value:g}" for value in sorted(set(energies)))
        raise Exp2SimError(
            f"The runs of this workspace have different incident energies ({listed} meV).",
            reason="A model takes one incident energy at a time.",
            fix="Make one workspace for each incident energy, or set IncidentEnergy.",
        )
    return energy


def _number(value: Any) -> float | None:
    """A log's value, or the mean of a series, where it is a positive number."""
    try:
        number = float(np.mean(np.asarray(value, dtype=np.float64)))
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def out_of_order(values: Floats, histogram: Histogram) -> Floats:
    """Values (h, k, E) in the axis order and the shape of a histogram: the inverse of `in_order`."""
    positions = [histogram.find_axis(kind) for kind in ("h", "k", "energy")]
    kept = [position for position in positions if position is not None]
    order = kept + [i for i in range(histogram.ndim) if i not in kept]
    opened: Floats = values.reshape([histogram.shape[i] for i in order])
    return opened.transpose(np.argsort(order))


def in_order(histogram: Histogram) -> Histogram:
    """The same data with the axes h, k, energy in this order and integrated axes left out.

    Raises
    ------
    Exp2SimError
        If one of these axes is missing, or another one has more than one bin.
    """
    positions = [histogram.find_axis(kind) for kind in ("h", "k", "energy")]
    others = [axis.name for i, axis in enumerate(histogram.axes) if i not in positions and axis.size > 1]
    if others or None in positions:
        names = ", ".join(repr(axis.name) for axis in histogram.axes)
        raise Exp2SimError(f"The axes {names} are not h, k and energy transfer, with others integrated.")
    kept = [position for position in positions if position is not None]
    order = kept + [i for i in range(histogram.ndim) if i not in kept]
    shape = tuple(histogram.shape[i] for i in kept)

    def turned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.transpose(order).reshape(shape)

    return Histogram(
        turned(histogram.intensity),
        turned(histogram.variance),
        turned(histogram.mask),
        tuple(histogram.axes[i] for i in kept),
        histogram.metadata,
    )
