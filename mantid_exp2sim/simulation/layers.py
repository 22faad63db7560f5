"""Which branches the volume of a scan sees: all within a range of the third direction.

A scan measures every Q, whatever the energy: the spin waves on layers of constant third coordinate are added
up, each with the share of it that lies, or is blurred, inside the range.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.binning import Binning, Branches, fine_energies
from mantid_exp2sim.simulation.branches import layer_step, solved_layer, variance_in_cell
from mantid_exp2sim.simulation.resolution import blur_matrices
from mantid_exp2sim.simulation.solved import SolvedMaterial
from mantid_exp2sim.simulation.twins import Plane, Twin

LAYERS = 24
"""Layers per period of the phase between the sites that are farthest apart along the third direction."""


def scan_branches(
    waves: SolvedMaterial, twin: Twin, plane: Plane, binning: Binning, *, resolved: bool
) -> Branches:
    """Find the branches of a twin within the range of the third direction; ``resolved``: with the blur."""
    fits, sigma = waves.scan_fits(binning)
    ends, energies = waves.geometry.ends(binning)[2], np.array(fine_energies(binning))
    sigma = sigma if resolved else np.zeros_like(sigma)
    step, repeat = _steps(waves, twin)
    low, high = ends[0] - 4 * sigma.max(), ends[1] + 4 * sigma.max()
    numbers = np.arange(int(np.floor(low / step)), int(np.ceil(high / step)))
    below = np.asarray(numbers * step, dtype=np.float64)
    shares = np.stack(
        [blur_matrices(ends, below, below + step, np.full(numbers.size, width))[0][0] for width in sigma]
    )
    edges = binning.energy_edges
    margin = 4 * float(np.sqrt(max(fit.ee for fit in fits) + waves.options.line_variance))
    parts: list[Branches] = []
    before: Floats | None = None
    for number, share in zip(numbers.tolist(), shares.T, strict=True):
        omega, amplitude = solved_layer(waves, twin, plane, number % repeat if repeat else number, step)
        energy = omega[plane.row]
        spread = variance_in_cell(energy.reshape(*plane.shape, -1)).reshape(energy.shape)
        if before is not None:
            spread = spread + (energy - before) ** 2 / 12
        before = energy
        wide = margin + 4 * float(np.sqrt(spread.max()))
        inside = (energy > edges[0] - wide) & (energy < min(edges[-1] + wide, binning.incident_energy))
        point, mode = np.nonzero(inside)
        along = np.full(point.size, (number + 0.5) * step)
        q = np.column_stack([plane.q[point], along]) @ twin.axes
        weight, energy = waves.intensity(q, amplitude, plane.row[point], mode), energy[point, mode]
        layer = Branches(point, energy, weight, spread[point, mode]).only(waves.excited(energy, weight))
        parts.append(replace(layer, weight=layer.weight * np.interp(layer.energy, energies, share)))
    point, energy, weight, spread = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("point", "energy", "weight", "spread")
    )
    return Branches(point, energy, weight, spread, left_out=sum(part.left_out for part in parts))


def _steps(waves: SolvedMaterial, twin: Twin) -> tuple[float, int]:
    """Distance of the layers in Å⁻¹, fine enough for energies and phases, and after how many they repeat."""
    heights = waves.places @ twin.beam
    phases = 2 * np.pi / max(float(np.ptp(heights)), 1.0) / LAYERS
    if waves.is_flat(twin):
        return phases, 1
    step, repeat = layer_step(waves, twin)
    finer = int(np.ceil(step / phases))
    return step / finer, repeat * finer
