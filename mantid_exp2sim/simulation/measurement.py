"""A simulated measurement as a `Histogram`: one call from exchange constants to intensities with gaps and
noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.mosaic import join
from mantid_exp2sim.simulation.instrument import coverage_mask, mosaic_coverage_mask
from mantid_exp2sim.simulation.manganite_spectrum import (
    Binning,
    Kind,
    Options,
    Solved,
    mosaic_binnings,
    spin_waves,
    volume,
)
from mantid_exp2sim.simulation.noise import add_counting_noise


def simulate_volume(
    waves: Solved,
    binning: Binning,
    *,
    kind: Kind = "convolved",
    noise: float = 0.0,
    seed: int = 0,
    mask: np.ndarray | str | None = "coverage",
) -> Histogram:
    """One (h, k, E) volume as a Histogram in mb sr⁻¹ meV⁻¹ per formula unit.

    ``noise`` is the variance of the counting noise over the intensity (0: none); ``mask`` boolean
    (nh, nk, nE), True = not measured, "coverage" for the bins that no detector reaches, None for no gaps.
    """
    values = volume(waves, binning, kind)
    variance = np.zeros_like(values)
    if noise > 0:
        rng = np.random.default_rng([seed, round(binning.incident_energy * 1000)])
        values, variance = add_counting_noise(rng, values, noise)
    if isinstance(mask, str):
        mask = coverage_mask(
            binning.h_edges, binning.k_edges, binning.energy_edges, binning.incident_energy,
            lattice=waves.lattice, instrument=waves.options.instrument,
        )  # fmt: skip
    names = waves.axis_names
    axes = (
        Axis(names[0], binning.h_edges, unit="r.l.u.", frame="HKL"),
        Axis(names[1], binning.k_edges, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", binning.energy_edges, unit="meV", frame="General Frame"),
    )
    metadata = {
        "title": f"{waves.model} {kind}",
        "incident_energy": binning.incident_energy,
        "intensity_unit": "mb sr⁻¹ meV⁻¹ f.u.⁻¹",
        "history": [
            {
                "command": "simulate",
                "model": waves.model,
                "parameters": waves.parameters.tolist(),
                "kind": kind,
                "physics": waves.options.physics,
                "instrument": waves.options.instrument.name,
                "noise": noise,
                "seed": seed,
            }
        ],
    }
    return Histogram.from_arrays(values, axes, variance=variance, mask=mask, metadata=metadata)


def simulate_mosaic(
    model: str,
    parameters: ArrayLike,
    *,
    kind: Kind = "convolved",
    noise: float = 0.0,
    seed: int = 0,
    options: Options | None = None,
    mask: np.ndarray | str | None = "coverage",
) -> Histogram:
    """The published 240 × 400 mosaic of one Hamiltonian as a Histogram, intensities in mb sr⁻¹ meV⁻¹ per f.u.

    ``model`` "Dimer" or "Goodenough"; ``parameters`` (6,) in meV; ``mask`` boolean (6, 40, 40, 10),
    "coverage" or None; other arguments as in `simulate_volume`. Raises `UnstableStructureError` where the
    spin structure is not the ground state of these constants.
    """
    waves = spin_waves(model, parameters, options)
    if isinstance(mask, str):
        mask = mosaic_coverage_mask(waves.options.instrument)
    volumes = [
        simulate_volume(
            waves,
            binning,
            kind=kind,
            noise=noise,
            seed=seed,
            mask=None if mask is None else np.asarray(mask)[i],
        )
        for i, binning in enumerate(mosaic_binnings())
    ]
    joined = join(volumes)
    kept = {name: volumes[0].metadata[name] for name in ("title", "intensity_unit", "history")}
    return joined.replace(metadata={**joined.metadata, **kept})
