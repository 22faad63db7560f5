"""Excitations that are no spin waves of a model: phonon-like sheets, flat levels, continua.

Their energies are short Fourier series in Q, so that they have the period of the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.material import Lattice, Parameter, View
from mantid_exp2sim.simulation.simulation_conditions import log_uniform

STEPS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, -1, 0], [2, 0, 0], [0, 2, 0], [0, 0, 1]], dtype=float)
CONTINUUM = 10
"""Modes by which a continuum is made up."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One mode: ω = √(gap² + Σ wₙ (1 − cos 2πn·q)), or the square of it under the root left as it is.

    ``strength`` says how the intensity goes: "even", "acoustic" (Q²/ω), "waves" (1 + cos(2πm·q + φ)).
    """

    weights: Floats
    gap: float
    rooted: bool
    strength: str
    wave: Floats
    phase: float

    def at(self, q: Floats, squared: Floats) -> tuple[Floats, Floats]:
        """Compute energies and intensities (P,) at ``q`` (P, 3) with |Q|² (P,) in Å⁻²."""
        series = (1 - np.cos(2 * np.pi * q @ STEPS.T)) @ self.weights
        omega = np.sqrt(self.gap**2 + series) if self.rooted else self.gap + series
        if self.strength == "acoustic":
            return omega, squared / np.maximum(omega, 0.02)
        if self.strength == "waves":
            return omega, 1.05 + np.cos(2 * np.pi * q @ self.wave + self.phase)
        return omega, np.ones_like(omega)


def draw_sheets(rng: np.random.Generator, lattice: Lattice, view: View, top: float) -> FunctionModel:
    """Draw one to three sheets, flat levels or a continuum, up to about ``top`` meV.

    >>> sheets = draw_sheets(np.random.default_rng(0), Lattice(a=4, b=4, c=6), View(), 30.0)
    >>> energy, intensity = sheets.excitations(np.zeros((5, 3)), np.array([30.0]))
    >>> energy.shape == intensity.shape, bool((energy >= 0).all())
    (True, True)
    """
    kind = str(rng.choice(["sheets", "flat", "continuum"], p=[0.6, 0.15, 0.25]))
    sheets = [_sheet(rng, flat=kind == "flat") for _ in range(int(rng.integers(1, 4)))]
    scales = np.sort(rng.uniform(0.25, 1.0, len(sheets)))
    shares = rng.uniform(0.3, 1.0, len(sheets))
    falling = log_uniform(rng, (0.005, 0.15))
    reciprocal = 2 * np.pi * np.linalg.inv(lattice.vectors()).T
    edge = float(rng.uniform(0.3, 0.8))

    def excitations(q: Floats, top: float) -> tuple[Floats, Floats]:
        squared = ((q @ reciprocal) ** 2).sum(axis=1)
        decay = np.exp(-falling * squared)
        parts = [sheet.at(q, squared) for sheet in sheets]
        if kind == "continuum":
            return _continuum(top * scales[-1] * parts[0][0], edge, decay * parts[0][1])
        omega = np.stack([top * scale * part[0] for scale, part in zip(scales, parts, strict=True)], axis=1)
        weight = np.stack([share * part[1] for share, part in zip(shares, parts, strict=True)], axis=1)
        return omega, weight * decay[:, None]

    return FunctionModel(kind, excitations, {"top": Parameter(value=top)}, lattice, view)


def _continuum(upper: Floats, edge: float, weight: Floats) -> tuple[Floats, Floats]:
    """From ``edge`` of the upper border on, strongest at the lower one, as 1/√(ω − ω_lower)."""
    share = (np.arange(CONTINUUM) + 0.5) / CONTINUUM
    omega = upper[:, None] * (edge + (1 - edge) * share)
    return omega, weight[:, None] / np.sqrt(share) / CONTINUUM


def _sheet(rng: np.random.Generator, *, flat: bool) -> Sheet:
    """A sheet whose highest energy is about 1."""
    weights = rng.exponential(1.0, len(STEPS)) * (
        rng.random(len(STEPS)) < [0.9, 0.9, 0.4, 0.4, 0.2, 0.2, 0.2]
    )
    weights /= 2 * max(float(weights.sum()), 1e-3)
    gap = float(rng.uniform(0.0, 0.4)) ** 2 / 0.4
    if flat:
        weights, gap = 0.08 * float(rng.random()) * weights, float(rng.uniform(0.5, 0.95))
    return Sheet(
        weights=weights,
        gap=gap,
        rooted=bool(rng.random() < 0.6) and not flat,
        strength=str(rng.choice(["even", "acoustic", "waves"])),
        wave=rng.uniform(-1.0, 1.0, 3) * [1.0, 1.0, 0.2],
        phase=float(rng.uniform(0, 2 * np.pi)),
    )
