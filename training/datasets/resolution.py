"""The known resolution on the bins of a data set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.instrument import MAPS, Instrument
from mantid_exp2sim.simulation.manganite import LATTICE
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.training.datasets.dataset import DataSet
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe


def dataset_operator(
    dataset: DataSet, *, instrument: Instrument | None = None, along: Collection[str] = AXES
) -> ResolutionOperator:
    """The resolution on a data set's own bins, of its own instrument and lattice unless another is given.

    ``along``: the axes that are blurred. Raises `Exp2SimError` where it does not tell the edges of its bins.
    """
    description = dataset.description
    edges = description.bin_edges(float(dataset.energies[0]))
    if edges is None:
        raise Exp2SimError(
            f"The data set {dataset.folder} does not tell the edges of its bins.", fix=MAKE_AGAIN
        )
    simulated, lattice = where_simulated(description.recipe)
    return ResolutionOperator(
        [
            Binning(edges["h"], edges["k"], edges["energy_fraction"] * energy, energy)
            for energy in description.incident_energies
        ],
        instrument=instrument or simulated,
        lattice=lattice,
        along=along,
    )


def where_simulated(recipe: Any) -> tuple[Instrument, tuple[float, float]]:
    """Instrument and lattice of a recipe; of one that cannot be read MAPS and the manganite's."""
    try:
        simulation = Recipe.model_validate(recipe)
    except ValidationError:
        return MAPS, (LATTICE[0], LATTICE[1])
    return simulation.options.instrument, simulation.lattice
