"""The known resolution on the bins of a data set."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from pydantic import ValidationError

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.instrument import Instrument
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.training.datasets.dataset import DataSet
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN, DatasetDescription
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
    simulated, lattice = where_measured(description)
    return ResolutionOperator(
        [
            Binning(edges["h"], edges["k"], edges["energy_fraction"] * energy, energy)
            for energy in description.incident_energies
        ],
        instrument=instrument or simulated,
        lattice=lattice,
        along=along,
    )


def where_measured(description: DatasetDescription) -> tuple[Instrument, tuple[float, float]]:
    """Return the instrument of a data set, and 2π over one r.l.u. of its two momentum axes in Å.

    Raises
    ------
    Exp2SimError
        If the data set does not tell them, or is of a scan or a powder.
    """
    try:
        simulation = Recipe.model_validate(description.recipe)
    except ValidationError:
        simulation = None
    if description.projection.powder or description.projection.over is not None:
        raise Exp2SimError(
            "The resolution of a scan or of a powder is not known as an operator.",
            reason="It is for a crystal that stands with both axes normal to the beam.",
            fix="Use a method that does without.",
        )
    if simulation is not None:
        return simulation.options.instrument, simulation.lattice
    if not description.instrument or not description.lattice:
        raise Exp2SimError(
            "The data set does not tell its instrument and its lattice.",
            reason="The resolution follows from them.",
            fix="Name the instrument in the recipe, and build from files that hold the lattice.",
        )
    reciprocal = np.linalg.inv(Lattice(**description.lattice).vectors()).T
    first, second = (
        float(1 / np.linalg.norm(np.array(vector) @ reciprocal))
        for vector in (description.projection.first, description.projection.second)
    )
    return Instrument.model_validate(description.instrument), (first, second)
