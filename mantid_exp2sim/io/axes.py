"""What every reader makes alike: names, units and frames of axes in Mantid's words, and incident energies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.histogram import HKL, Axis, Floats, Histogram, Projection, integrated_axes
from mantid_exp2sim.histogram.axis import INVERSE_ANGSTROM
from mantid_exp2sim.histogram.direction import direction_name
from mantid_exp2sim.simulation.constants import SAME_ENERGY


def momentum_axis(vector: npt.ArrayLike, edges: Floats) -> Axis:
    """The axis along a direction in reciprocal lattice units.

    Examples
    --------
    >>> axis = momentum_axis([0, 1, 0], np.array([0.0, 1.0]))
    >>> axis.name, axis.unit, axis.frame, axis.kind
    ('[0,K,0]', 'r.l.u.', 'HKL', 'k')
    """
    return Axis(direction_name(vector), edges, unit="r.l.u.", frame="HKL")


def energy_axis(edges: Floats) -> Axis:
    """The axis of the energy transfer in meV."""
    return Axis("DeltaE", edges, unit="meV", frame="General Frame")


def modulus_axis(edges: Floats) -> Axis:
    """The axis of the length of the momentum transfer, |Q| in Å⁻¹."""
    return Axis("|Q|", edges, unit=INVERSE_ANGSTROM, frame="General Frame")


def integrated_axis(histogram: Histogram, slot: str, projection: Projection = HKL) -> Axis | None:
    """The single bin of an axis that the data no longer have, where their metadata tell its range.

    ``slot`` is its place in a volume: h, k, l or energy, along the directions of ``projection``.

    >>> metadata = {"integrated": [{"axis": "[0,K,0]", "range": [-0.5, 0.5]}]}
    >>> h = Histogram.from_arrays([1.0], [Axis("[H,0,0]", np.array([0.0, 1.0]))], metadata=metadata)
    >>> integrated_axis(h, "k").edges, integrated_axis(h, "energy")
    (array([-0.5,  0.5]), None)
    """
    for axis in integrated_axes(histogram):
        place = projection.place(axis)
        if place is not None and place[0] == slot:
            return place[1].axis
    return None


def edges_of(centres: npt.ArrayLike) -> Floats:
    """Bin edges half-way between increasing centres; the outer bins are symmetric, a single one is 1 wide.

    Examples
    --------
    >>> edges_of([0.0, 1.0, 3.0])
    array([-0.5,  0.5,  2. ,  4. ])
    >>> edges_of([2.0])
    array([1.5, 2.5])
    """
    values = np.asarray(centres, dtype=np.float64)
    if values.size == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middle = 0.5 * (values[:-1] + values[1:])
    first, last = 2 * values[0] - middle[0], 2 * values[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def common_energy(energies: Sequence[float]) -> float | None:
    """Return the incident energy in meV of all runs, or None where they differ or tell none.

    Examples
    --------
    >>> common_energy([50.0, 50.1]), common_energy([50.0, 70.0]), common_energy([])
    (50.05, None, None)
    """
    if not energies or not np.all(np.isfinite(energies)) or min(energies) <= 0:
        return None
    if max(energies) == min(energies):
        return energies[0]
    mean = float(np.mean(energies))
    return mean if max(energies) - min(energies) < SAME_ENERGY * mean else None
