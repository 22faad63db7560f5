"""Conditions of measurement on the samples of a batch."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans
from mantid_exp2sim.io.masks import read_mosaic_mask
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.noise import NOISELESS
from mantid_exp2sim.simulation.volume_bins import VolumeBins
from mantid_exp2sim.training.config import DataSettings
from mantid_exp2sim.training.datasets.dataset import DataSet, SimulatedSet
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN
from mantid_exp2sim.training.datasets.resolution import where_measured

Values: TypeAlias = NDArray[np.float32]
Reals: TypeAlias = NDArray[np.floating]


class ConditionedSamples:
    """Apply ``[data.conditions]`` to samples of a data set, each with conditions of its own.

    They are read from ``source``: where all was calculated, also what the mask of the data set hides.

    Raises `Exp2SimError` where the data set does not tell its bins, or the measured mask is not of them.
    """

    def __init__(self, dataset: DataSet, settings: DataSettings) -> None:
        self.conditions = _usable(settings)
        self.source: DataSet = dataset.without_mask() if isinstance(dataset, SimulatedSet) else dataset
        self.all_energies = np.asarray(dataset.energies, dtype=float).ravel()
        self.bins = volume_bins(dataset)
        path = self.conditions.measured_mask
        self.measured = None if path is None else read_mosaic_mask(path)
        if self.measured is not None and self.measured.shape != tuple(dataset.description.shape):
            raise Exp2SimError(
                "The measured mask is not of the bins of the data set.",
                reason=f"They are {tuple(dataset.description.shape)}, the mask's {self.measured.shape}.",
                fix="Leave measured_mask out, or take a data set of mosaics.",
            )

    def apply(
        self,
        rng: np.random.Generator,
        source: Values,
        counterpart: Values,
        mask: Booleans,
        energies: Reals,
    ) -> tuple[Values, Values, Booleans]:
        """Measure a batch: source, counterpart and mask (B, [Ei,] h, k, E), ``energies`` (B, [Ei]) in meV.

        Bins that were not measured stay so, unless they were calculated.
        """
        shape = (len(source), -1, *source.shape[-3:])
        samples = (array.reshape(shape) for array in (source, counterpart, mask))
        parts = [
            self._one(rng, *sample)
            for sample in zip(*samples, energies.reshape(len(source), -1), strict=True)
        ]
        measured, truth, unknown = (np.stack(part).reshape(source.shape) for part in zip(*parts, strict=True))
        return measured, truth, unknown

    def _one(
        self,
        rng: np.random.Generator,
        source: Values,
        counterpart: Values,
        mask: Booleans,
        energies: Reals,
    ) -> tuple[Values, Values, Booleans]:
        rows = [int(np.abs(self.all_energies - energy).argmin()) for energy in energies]
        real = None if self.measured is None else self.measured[rows]
        measurement = self.conditions.measure(
            rng, source[None], counterpart[None], mask, self.bins, energies.astype(float), measured_mask=real
        )
        calculated = isinstance(self.source, SimulatedSet)
        unknown = measurement.mask[0] if calculated else measurement.mask[0] | mask
        return measurement.values[0], measurement.truth[0], unknown


def _usable(settings: DataSettings) -> MeasurementConditions:
    """The conditions, or `Exp2SimError` where they do not go with the other settings."""
    conditions = settings.conditions or MeasurementConditions()
    if settings.noise != NOISELESS or settings.patch is not None:
        raise Exp2SimError(
            "[data.conditions] stands beside noise or patch.",
            reason="The noise is one of the conditions, and they are drawn for whole volumes.",
            fix="Write [data.conditions.noise] in place of [data.noise], and leave patch out.",
        )
    if "measured" in conditions.masks and conditions.measured_mask is None:
        raise Exp2SimError(
            "The measured mask is not given.",
            reason='The conditions ask for the mask "measured".',
            fix="Name its file as measured_mask in [data.conditions].",
        )
    return conditions


def volume_bins(dataset: DataSet) -> VolumeBins:
    """Return the bins of a data set; `Exp2SimError` where it does not tell them."""
    described = dataset.description
    edges = described.bin_edges(float(dataset.energies.ravel()[0]))
    if edges is None:
        raise Exp2SimError(
            f"The data set {dataset.folder} does not tell the edges of its bins.", fix=MAKE_AGAIN
        )
    _, lattice = where_measured(described)
    h, k, energy = (tuple(edges[name].tolist()) for name in ("h", "k", "energy_fraction"))
    return VolumeBins(h, k, energy, lattice)
