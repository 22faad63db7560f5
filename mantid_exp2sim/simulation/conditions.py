"""Conditions of measurement: what varies from one measurement to the next, drawn from ranges and a seed.

Conditions of the *sample* (temperature, Debye–Waller factor, alignment) act on convolved and unconvolved data
alike, those of the *measurement* (background, noise, mask) on the convolved data alone. Both are applied to
volumes that are calculated already. Those of the *simulation* (resolution, twins, damping) are
`simulation_conditions.SimulationConditions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.drawn_masks import MaskKind, draw_mask
from mantid_exp2sim.simulation.noise import NOISELESS, MeasurementNoise, Share, Volumes32
from mantid_exp2sim.simulation.simulation_conditions import (
    NotNegative,
    Positive,
    log_uniform,
    uniform,
)
from mantid_exp2sim.simulation.surroundings import (
    bose_factor,
    elastic_tail,
    phonon_sheets,
    smooth_background,
    spurions,
)
from mantid_exp2sim.simulation.volume_bins import VolumeBins

BRIGHT = 0.99
"""Spurions are as high as this quantile of the spin waves, times 1 to 5."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Measured volumes and their true counterparts, (n, G, h, k, E) float32 in one unit, and the mask.

    ``mask`` (n, G, h, k, E), True = not measured; ``values`` are 0 there. ``variance`` is what the counts
    tell, as a reduction would write it (without the noise of ``noise.subtraction``); 0 without counting
    noise. ``truth`` has the conditions of the sample, and nothing that the measurement adds.
    """

    values: Volumes32
    variance: Volumes32
    truth: Volumes32
    mask: Booleans


class MeasurementConditions(BaseModel):
    """Ranges of the conditions, ``[lowest, highest]``; by default nothing is changed.

    Uniform in their range unless it is said otherwise; one draw for each sample. Those in *shares* are
    fractions of the total of the spin waves over the measured bins.

    >>> MeasurementConditions(background=(0.2, 0.5), intensity=(0.1, 10.0)).phonons
    (0.0, 0.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    debye_waller: NotNegative = (0.0, 0.0)
    """⟨u²⟩ in Å²; the intensity falls by exp(−Q²⟨u²⟩/3)."""
    temperature: NotNegative = (0.0, 0.0)
    """In K, of spin waves and phonons: n(E) + 1."""
    flux_factor: Share = 0.0
    """Share of the samples that have kf/ki still in them."""
    shift: NotNegative = (0.0, 0.0)
    """Of h and of k, each to either side, in r.l.u."""
    rotation: NotNegative = (0.0, 0.0)
    """About the beam, to either side, in degrees."""

    phonons: NotNegative = (0.0, 0.0)
    """Share of phonons."""
    elastic_tail: NotNegative = (0.0, 0.0)
    """Share of the tail of the elastic line."""
    background: NotNegative = (0.0, 0.0)
    """Share of a background that falls with energy and rises with |Q|."""
    empty: Share = 0.0
    """Share of the samples that lose their spin waves, and keep all else."""
    spurions: tuple[int, int] = (0, 0)
    """Number of bright spots."""
    efficiency: NotNegative = (0.0, 0.0)
    """Standard deviation of the efficiency of the detectors, the same at all energies of a volume."""
    noise: MeasurementNoise = NOISELESS
    """Gaussian noise and background in units of mb sr⁻¹ meV⁻¹ f.u.⁻¹."""
    counts: NotNegative = (0.0, 0.0)
    """Counts per unit of intensity in a bin, with Poisson statistics; log-uniform, 0 is none."""
    subtracted: NotNegative = (0.0, 0.0)
    """Share of a flat background that was counted with the data, counted again, and subtracted."""
    cut_negatives: Share = 0.0
    """Share of the samples whose negative intensities are set to 0."""
    clip: NotNegative = (1.0, 1.0)
    """Quantile of the intensities at which the higher ones are cut off."""
    masks: tuple[MaskKind, ...] = Field(default=("own",), min_length=1)
    """Kinds of masks, each as likely as often as it is named."""
    measured_mask: Path | None = None
    """File of the mask "measured", for whoever reads it and hands it to `measure`."""
    intensity: Positive = (1.0, 1.0)
    """Factor on data and truth at the end, as in another unit; log-uniform."""

    def measure(
        self,
        rng: np.random.Generator,
        convolved: Volumes32,
        unconvolved: Volumes32,
        mask: Booleans,
        bins: VolumeBins,
        incident_energies: Floats,
        *,
        measured_mask: Booleans | None = None,
    ) -> Measurement:
        """Draw the conditions of each sample and apply them.

        Parameters
        ----------
        convolved, unconvolved
            (n, G, h, k, E) float32 in mb sr⁻¹ meV⁻¹ f.u.⁻¹.
        mask
            (G, h, k, E), what these data have not measured. What other masks measure beside it must have been
            calculated.
        incident_energies
            (G,) in meV.
        measured_mask
            (G, h, k, E), of a real measurement, for the mask "measured".
        """
        parts = [
            _measure_sample(self, rng, *pair, mask, bins, incident_energies, measured_mask)
            for pair in zip(convolved, unconvolved, strict=True)
        ]
        return Measurement(*(np.stack(part) for part in zip(*parts, strict=True)))


def _measure_sample(
    conditions: MeasurementConditions,
    rng: np.random.Generator,
    convolved: NDArray[Any],
    unconvolved: NDArray[Any],
    own: Booleans,
    bins: VolumeBins,
    energies: Floats,
    measured_mask: Booleans | None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], Booleans]:
    """Measure one sample (G, h, k, E): values, variance, truth and mask."""
    kind = conditions.masks[int(rng.integers(len(conditions.masks)))]
    mask = draw_mask(rng, kind, own, bins, energies, measured_mask)
    temperature = uniform(rng, conditions.temperature)
    factor = _sample_factor(conditions, rng, bins, energies, temperature)
    motion = _draw_motion(conditions, rng)
    signal, truth = (
        move(volumes * factor, bins, *motion).astype(np.float32) for volumes in (convolved, unconvolved)
    )
    beside = _surroundings(conditions, rng, signal, mask, bins, energies, temperature)
    total = float(signal[~mask].sum())
    if rng.random() < conditions.empty:
        signal, truth = np.zeros_like(signal), np.zeros_like(truth)
    mean = total / max(int((~mask).sum()), 1)
    values, variance = _detect(conditions, rng, (signal + beside).astype(np.float32), mean)
    level = uniform(rng, conditions.clip)
    if level < 1:
        values = np.minimum(values, np.quantile(values[~mask], level))
    intensity = log_uniform(rng, conditions.intensity)
    seen, errors = (
        np.where(mask, 0, array * factor).astype(np.float32)
        for array, factor in ((values, intensity), (variance, intensity**2))
    )
    return seen, errors, truth * np.float32(intensity), mask


def _sample_factor(
    conditions: MeasurementConditions,
    rng: np.random.Generator,
    bins: VolumeBins,
    energies: Floats,
    temperature: float,
) -> Floats:
    """Draw exp(−Q²⟨u²⟩/3)·(n + 1)·kf/ki at the bin centres, (G, h, k, E)."""
    displacement = uniform(rng, conditions.debye_waller)
    power = 0.5 if rng.random() < conditions.flux_factor else 0.0
    return np.stack(
        [
            np.exp(-bins.q_squared(float(energy)) * displacement / 3)
            * bose_factor(bins.energies(energy), temperature)
            * (1 - bins.energies(energy) / energy) ** power
            for energy in energies
        ]
    )


def _draw_motion(conditions: MeasurementConditions, rng: np.random.Generator) -> tuple[float, float, float]:
    signs = rng.choice([-1.0, 1.0], 3)
    ends = (conditions.shift, conditions.shift, conditions.rotation)
    h, k, angle = (sign * uniform(rng, end) for sign, end in zip(signs, ends, strict=True))
    return h, k, angle


def move(volumes: NDArray[Any], bins: VolumeBins, h: float, k: float, angle: float) -> NDArray[Any]:
    """Show a crystal that is turned about the beam by ``angle`` (degrees) and shifted by h and k (r.l.u.).

    Volumes (G, h, k, E), by cubic splines; beyond the border they go on as at the border.
    """
    if h == k == angle == 0:
        return volumes
    from scipy.ndimage import affine_transform

    edges = (np.array(bins.h), np.array(bins.k))
    steps = np.array([float(np.diff(line).mean()) for line in edges])
    unit = np.array([2 * np.pi / side for side in bins.lattice]) * steps
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cosine, sine], [-sine, cosine]]) * unit / unit[:, None]
    zero = np.array([-line[0] / step - 0.5 for line, step in zip(edges, steps, strict=True)])
    offset = zero - turn @ (zero + np.array([h, k]) / steps)
    planes = np.moveaxis(volumes, 3, 1)
    moved = np.empty_like(planes)
    for place in np.ndindex(planes.shape[:2]):
        affine_transform(planes[place], turn, offset, output=moved[place], order=3, mode="nearest")
    return np.asarray(np.clip(np.moveaxis(moved, 1, 3), 0, volumes.max()))


def _surroundings(
    conditions: MeasurementConditions,
    rng: np.random.Generator,
    signal: NDArray[Any],
    mask: Booleans,
    bins: VolumeBins,
    energies: Floats,
    temperature: float,
) -> Floats:
    """Draw what is seen beside the spin waves ``signal``, (G, h, k, E)."""
    top = float(energies.max())
    tops = (top * rng.uniform(0.12, 0.3), top * rng.uniform(0.35, 0.6))
    width, decay, rise = rng.uniform(0.02, 0.06), rng.uniform(0.1, 1.4), rng.uniform(0, 2)
    shares = [
        uniform(rng, ends) for ends in (conditions.phonons, conditions.elastic_tail, conditions.background)
    ]
    makers: tuple[Callable[[float], Floats], ...] = (
        lambda energy: phonon_sheets(bins, energy, tops=tops, temperature=temperature),
        lambda energy: elastic_tail(bins, energy, width=width),
        lambda energy: smooth_background(bins, energy, decay=decay, rise=rise),
    )
    measured = ~mask
    total = float(signal[measured].sum(dtype=float))
    beside = np.zeros(signal.shape)
    for share, make in zip(shares, makers, strict=True):
        if share > 0:
            shape = np.stack([make(float(energy)) for energy in energies])
            beside += share * total / shape[measured].sum() * shape
    count = int(rng.integers(conditions.spurions[0], conditions.spurions[1] + 1))
    if count:
        height = float(np.quantile(signal[measured], BRIGHT)) * rng.uniform(1, 5)
        beside += height * spurions(rng, signal.shape, count)
    return beside


def _detect(
    conditions: MeasurementConditions, rng: np.random.Generator, intensity: Volumes32, mean: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Count the intensity (G, h, k, E): values and variance; ``mean`` is that of the measured spin waves."""
    scatter = uniform(rng, conditions.efficiency)
    if scatter > 0:
        lines = rng.standard_normal((*intensity.shape[:3], 1))
        intensity = (intensity * np.maximum(1 + scatter * lines, 0)).astype(np.float32)
    noise = conditions.noise.at_level(rng)
    values: NDArray[Any] = noise.apply(rng, intensity[None])[0]
    variance = noise.counting[0] * np.maximum(values, 0)
    counts, flat = log_uniform(rng, conditions.counts), uniform(rng, conditions.subtracted) * mean
    if counts > 0:
        signal = rng.poisson(counts * (np.maximum(values, 0) + flat))
        dark = rng.poisson(counts * flat, values.shape)
        values, variance = (signal - dark) / counts, (signal + dark) / counts**2
    values = np.maximum(values, 0) if rng.random() < conditions.cut_negatives else values
    return values, variance
