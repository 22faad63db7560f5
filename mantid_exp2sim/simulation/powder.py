"""What a spectrometer sees of a powder: spin waves averaged over all directions, against |Q| and energy."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.binning import (
    Binning,
    Branches,
    Indices,
    Kind,
    Lines,
    energy_histograms,
    fine_energies,
    interpolated,
    lines_at_centres,
)
from mantid_exp2sim.simulation.cones import powder_fits
from mantid_exp2sim.simulation.resolution import blur_matrices
from mantid_exp2sim.simulation.solved import SolvedMaterial

CELLS = 3
"""Shells of |Q| per bin."""
DIRECTIONS = 25
"""Directions per shell over the grid of the options: 750 for the usual 30."""


def powder_volume(waves: SolvedMaterial, binning: Binning, kind: Kind) -> Floats:
    """Compute intensities (n, 1, nE) against |Q|; arguments as in `options.SpinWaves`."""
    if binning.shape[1] != 1 or binning.h_edges[0] < 0:
        raise Exp2SimError(
            "A powder has |Q| from 0 in place of h, and one bin in place of k.",
            reason=f"Got {binning.shape[1]} bins, and |Q| from {binning.h_edges[0]:g}.",
            fix="Give bins such as 40 1 20, and ends of |Q| in Å⁻¹.",
        )
    if kind == "centre":
        lines = _lines(waves, binning.centres[0], (binning, kind))
        return lines_at_centres(binning, lambda _: lines)
    fits = powder_fits(waves.options.instrument, binning)
    edges = binning.h_edges
    margin = 0.0
    if kind == "convolved":
        margin = 4 * float(np.sqrt(max(f.yy + max(f.radial, 0) * edges[-1] ** 2 for f in fits)))
    step = float(np.diff(edges).min()) / CELLS
    first = max(int(np.floor((edges[0] - margin) / step)), 0)
    last = int(np.ceil((edges[-1] + margin) / step))
    cells = np.asarray(step * np.arange(first, last + 1), dtype=np.float64)
    shells = 0.5 * (cells[1:] + cells[:-1])
    point, omega, intensity = _lines(waves, shells, (binning, kind))
    row, mode = np.nonzero(np.isfinite(omega))
    energy, weight = omega[row, mode], intensity(row, mode)
    spread = _spread(omega, shells.size)[row, mode]
    branches = Branches(point[row], energy, weight, spread)
    if kind == "integrated":
        histogram, _ = energy_histograms(branches, shells.size, binning.energy_edges)
        blur, _ = blur_matrices(edges, cells[:-1], cells[1:], np.zeros(shells.size))
        return (blur @ histogram)[:, None, :]
    at = fine_energies(binning)
    ee, ee_q2, drift = interpolated(branches.energy, at, fits, "ee", "ee_q2", "slope")
    width = np.maximum(ee + ee_q2 * shells[branches.point] ** 2, 1e-12) + waves.options.line_variance
    histogram, tilt = energy_histograms(branches, shells.size, binning.energy_edges, (width,), drift)
    planes = []
    for e, (yy, radial) in enumerate(
        zip(*interpolated(binning.centres[2], at, fits, "yy", "radial"), strict=True)
    ):
        sigma = np.sqrt(np.maximum(yy + radial * shells**2, 1e-12))
        blur, slope = blur_matrices(edges, cells[:-1], cells[1:], sigma)
        planes.append(blur @ histogram[:, e] + (slope * shells) @ tilt[:, e])
    return np.stack(planes, axis=-1)[:, None, :]


def _lines(waves: SolvedMaterial, shells: Floats, volume: tuple[Binning, Kind]) -> Lines:
    """Modes on shells of |Q| (Å⁻¹): their shells, their energies, and what gives their mean intensity.

    Those that are no excitations have none, and are counted for ``volume``.
    """
    count = DIRECTIONS * waves.options.grid
    number = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * number / count), np.pi * (1 + np.sqrt(5)) * number
    sphere = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    turns = Rotation.random(shells.size, rng=np.random.default_rng(0))
    q = np.concatenate([size * turn.apply(sphere) for size, turn in zip(shells, turns, strict=True)])
    omega, amplitude = waves.solve(q)

    def intensity(row: Indices, mode: Indices) -> Floats:
        weight = waves.intensity(q[row], amplitude, row, mode)
        excited = waves.excited(omega[row, mode], weight)
        waves.left_out[volume] += int((~excited).sum())
        return np.where(excited, weight / count, 0.0)

    return np.repeat(np.arange(shells.size), count), omega, intensity


def _spread(omega: Floats, shells: int) -> Floats:
    """Variance of the energy between neighbouring directions of a shell: smooths what they leave out.

    The n directions of a shell are sqrt(4π/n) apart, a 1/n share of the spread of all its energies squared.
    """
    by_shell = omega.reshape(shells, -1, omega.shape[1])
    variance = by_shell.var(axis=1, keepdims=True) / by_shell.shape[1]
    return np.broadcast_to(variance, by_shell.shape).reshape(omega.shape)
