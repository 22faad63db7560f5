"""Several files or workspaces of one incident energy each, as one measurement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.axis_order import in_order

if TYPE_CHECKING:
    from mantid_exp2sim.model.card import Card


def join_measurement(histograms: Iterable[Histogram], card: Card) -> Histogram:
    """Join volumes at several incident energies to one measurement, with the axes in any order.

    Parameters
    ----------
    histograms
        One (h, k, E) volume for each incident energy of the published mosaic, in any order.
    card
        Of the model that takes them; it says which incident energy is meant by one that is nearly it.

    Returns
    -------
    Histogram
        The mosaic (240, 400).

    Raises
    ------
    Exp2SimError
        If an incident energy is missing or not known, or the bins are not those of the mosaic.
    """
    volumes = [in_order(nominal(histogram, card)) for histogram in histograms]
    energies = [volume.metadata.get("incident_energy") for volume in volumes]
    if len(volumes) != len(mosaic.INCIDENT_ENERGIES) or set(energies) != set(mosaic.INCIDENT_ENERGIES):
        raise Exp2SimError(
            f"The data are at {_listed(energies)} meV.",
            reason=f"One measurement is one volume at each of {_listed(mosaic.INCIDENT_ENERGIES)} meV.",
            fix="Give these with their incident energies (in Mantid IncidentEnergies), or take each alone.",
        )
    try:
        return mosaic.join(volumes)
    except Exp2SimError as error:
        raise Exp2SimError(
            "The bins of the data are not those of one measurement.",
            reason="The model takes 40 bins of h and k from -40/39 to 40/39, and 10 of energy from "
            "0.1 Ei to 0.7 Ei.",
            fix="Bin them so (`exp2sim rebin`, or BinMD in Mantid), or take each alone.",
        ) from error


def nominal(histogram: Histogram, card: Card) -> Histogram:
    """Return the same data at the model's incident energy that is meant by the logged one."""
    logged = histogram.metadata.get("incident_energy")
    if logged is None or not card.incident_energies:
        return histogram
    nearest = card.incident_energies[card.nearest(logged)]
    if abs(nearest - logged) > card.incident_energy_tolerance * nearest:
        return histogram
    return histogram.replace(metadata={**histogram.metadata, "incident_energy": nearest})


def _listed(energies: Iterable[float | None]) -> str:
    return ", ".join("unknown" if energy is None else f"{energy:g}" for energy in energies)
