"""The constants that the samples of a simulated data set were drawn with, as a network learns them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import ndtri

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.manganite import RANGES
from mantid_exp2sim.training.datasets.dataset import DataSet, SimulatedSet
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe

Ranges = dict[str, dict[str, tuple[float, float]]]


def simulated(dataset: DataSet) -> SimulatedSet:
    """Return a data set as what `exp2sim simulate dataset` made; `Exp2SimError` where it is not."""
    if not isinstance(dataset, SimulatedSet):
        raise Exp2SimError(
            f"The data set {dataset.folder} does not tell the constants of its samples.",
            reason="A posterior is trained on spectra of known constants.",
            fix="Make one with `exp2sim simulate dataset`.",
        )
    return dataset


def ranges_of(dataset: DataSet) -> Ranges:
    """Return the range (low, high) in meV that each constant of each class was drawn from.

    Raises `Exp2SimError` where a range has no width.
    """
    try:
        recipe = Recipe.model_validate(dataset.description.recipe)
    except ValidationError as error:
        raise Exp2SimError(f"{dataset.folder} tells no recipe of a simulation.", fix=MAKE_AGAIN) from error
    ranges = {
        name: dict(
            zip(
                recipe.parameter_names[name],
                RANGES[model] if isinstance(model, str) else model.ranges,
                strict=True,
            )
        )
        for name, model in zip(recipe.class_names, recipe.materials, strict=True)
    }
    for name, limits in ranges.items():
        if held := [constant for constant, (low, high) in limits.items() if not low < high]:
            raise Exp2SimError(
                f"{', '.join(held)} of {name} has no range, so there is no posterior of it.",
                fix="Give every constant a range in the recipe of the data set.",
            )
    return ranges


def standard_constants(dataset: SimulatedSet, ranges: Ranges, indices: NDArray[np.int64]) -> list[Floats]:
    """Return the constants of samples such that their prior is a standard normal distribution.

    An array (n, p) of each class, NaN for the samples of other classes.
    """
    count = max(len(limits) for limits in ranges.values())
    labels, values = dataset.labels(indices), dataset.parameters(indices, count)
    constants = []
    for number, limits in enumerate(ranges.values()):
        low, high = np.array(list(limits.values()), dtype=float).T
        share = (values[:, : len(limits)] - low) / (high - low)
        z = ndtri(np.clip(share, 1e-4, 1 - 1e-4))
        constants.append(np.where((labels == number)[:, None], z, np.nan))
    return constants
