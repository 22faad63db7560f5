"""Pairs as problems for the network: with the resolution on their bins, and conditions of measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mantid_exp2sim.histogram import CELL, Booleans, volume_histogram
from mantid_exp2sim.inference.bins import VolumeResolution, lay_out
from mantid_exp2sim.inference.richardson_lucy import positive
from mantid_exp2sim.networks.unrolled import Problem, pose
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.local_blur import Singles
from mantid_exp2sim.simulation.setting import Setting, complete
from mantid_exp2sim.training.synthetic.world.settings import WorldSetting

CLEAN = MeasurementConditions()
LEAST = 1e-3
"""Of the total of the data: a truth below is dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A problem, and the truth (n, m, l) in units of its scale, 0 where not measured."""

    problem: Problem
    truth: Tensor


def resolution_of(setting: WorldSetting) -> VolumeResolution:
    """Build the resolution on the bins of a setting, as a user's file would have it."""
    lattice, projection = setting.lattice, setting.view.projection(setting.lattice)
    values = np.zeros(setting.binning.shape)
    metadata = {
        "incident_energy": setting.binning.incident_energy,
        "lattice": dict(zip(CELL, lattice.cell, strict=True)),
    }
    histogram = volume_histogram(
        projection, setting.edges, values, values, np.zeros(values.shape, dtype=bool), metadata=metadata
    )
    measured = complete(Setting(instrument=setting.options.instrument), histogram)
    placement = measured.place(histogram)
    return lay_out(setting.edges, placement.covariances, histogram.find_axis("energy"))


def measured_sample(
    rng: np.random.Generator,
    setting: WorldSetting,
    resolution: VolumeResolution,
    convolved: Singles,
    integrated: Singles,
    conditions: MeasurementConditions,
) -> Sample | None:
    """Measure a pair under conditions that are drawn; None where hardly anything is left of it.

    ``convolved`` and ``integrated`` (nh, nk, nE) of the setting, of mean 1.
    """
    seen = conditions.measure(
        rng, convolved[None, None], integrated[None, None], setting.mask[None], setting.bins,
        np.array([setting.binning.incident_energy]),
    )  # fmt: skip
    mask: Booleans = seen.mask[0, 0]
    values, variance, truth = (
        np.where(mask, 0, part[0, 0]).astype(np.float32) for part in (seen.values, seen.variance, seen.truth)
    )
    if (~mask).sum() < 8 or not truth.sum() > LEAST * np.abs(values).sum():
        return None
    return as_sample(resolution, values, variance, truth, mask)


def as_sample(
    resolution: VolumeResolution, values: Singles, variance: Singles, truth: Singles, mask: Booleans
) -> Sample:
    """Pose a problem of arrays (nh, nk, nE) that are 0 where not measured."""
    blur = resolution.on(mask)
    counts = resolution.arranged(positive(blur.inner, values.reshape(blur.inner.measured.shape)))
    problem = pose(
        blur, resolution.arranged(values), counts, resolution.arranged(variance),
        resolution.widths, resolution.shape,
    )  # fmt: skip
    return Sample(problem, torch.from_numpy(resolution.arranged(truth) / np.float32(problem.scale)))
