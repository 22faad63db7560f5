"""Spin waves of magnets that no model knows: another lattice, another exchange, another band.

A classifier is shown them as inputs of no class. They are drawn from formulas, not from a material: one or
two branches of a Heisenberg ferromagnet or two-sublattice antiferromagnet in linear spin-wave theory
(Lovesey, *Theory of Neutron Scattering from Condensed Matter*, vol. 2, 1984, ch. 9) on a lattice of random
constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.simulation.surroundings import binned_line
from mantid_exp2sim.training.synthetic.excitations import averaged, positions

POINTS = 2
"""Points per bin and axis."""
_SQUARE_CONSTANTS, _SQUARE_ANGLE = np.log(1.25), 15.0
"""An antiferromagnet is kept off the square lattice: the logarithm of the ratio of its constants is larger
than this, or its angle is further from 90° than this; on multiples of the sample's own cell the ratio of its
exchanges is below `_SQUARE_EXCHANGE` instead. So that of Rb2MnF4, with which foreign materials are tested,
stays one that no classifier has met."""
_SQUARE_EXCHANGE = 0.8
_CELLS = (0.5, 1.0, 1.0, 2.0)
"""Of these many of the sample's constants along each axis."""
_SPREAD = 0.7
"""Of the logarithm of the mean intensity."""


@dataclass(frozen=True, slots=True)
class Magnet:
    """One magnet: γ(q) = Σ w cos 2πn·p / Σ w over ``bonds`` n, with p = ``lattice`` · (h, k)."""

    lattice: Floats
    """(2, 2)"""
    bonds: tuple[tuple[tuple[int, int], float], ...]
    antiferromagnet: bool
    gap: float
    """Over the top of the band."""
    falling: float
    """Of the form factor exp(−f (h² + k²))."""
    tops: tuple[float, ...]
    """Of the branches, in meV."""
    shares: tuple[float, ...]
    """Of the branches in the intensity."""

    def gamma(self, h: Floats, k: Floats) -> Floats:
        """γ at (h, k), between −1 and 1."""
        p, q = (row[0] * h + row[1] * k for row in self.lattice)
        total: Floats = sum(w * np.cos(2 * np.pi * (m * p + n * q)) for (m, n), w in self.bonds)
        return total / sum(w for _, w in self.bonds)

    def branch(self, gamma: Floats) -> tuple[Floats, Floats]:
        """ω over the top of the band, and the weight.

        Ferromagnet: ω = gap + (1 − gap)(1 − γ)/2, all of one weight. Antiferromagnet: ω = √(1 − (γ/g)²),
        S ∝ √((g − γ)/(g + γ)), with g such that the gap is what it is.

        >>> magnet = Magnet(np.eye(2), (((1, 0), 1.0),), True, 0.1, 0.0, (10.0,), (1.0,))
        >>> [part.round(3).tolist() for part in magnet.branch(np.array([1.0, 0.0]))]
        [[0.1, 1.0], [0.05, 1.0]]
        """
        if not self.antiferromagnet:
            return self.gap + (1 - self.gap) * (1 - gamma) / 2, np.ones_like(gamma)
        g = 1 / np.sqrt(1 - max(self.gap, 1e-6) ** 2)  # a gap of 0 would scatter without end at γ = −1
        return np.sqrt(1 - (gamma / g) ** 2), np.sqrt((g - gamma) / (g + gamma))


def draw_magnet(rng: np.random.Generator, highest: float, own_cell: bool = False) -> Magnet:
    """A random magnet, its band up to ``highest`` meV at most and a fiftieth of that at least.

    With ``own_cell`` its lattice is a simple multiple of the unit cell, along the axes or the diagonals, as
    that of a crystal which was measured in units of its own reciprocal lattice.

    >>> magnet = draw_magnet(np.random.default_rng(0), 100.0)
    >>> gamma = magnet.gamma(np.linspace(-1, 1, 50), np.linspace(0, 1, 50))
    >>> bool(np.abs(gamma).max() <= 1), all(2 <= top <= 100 for top in magnet.tops)
    (True, True)
    """
    antiferromagnet = bool(rng.random() < 0.5)
    lattice = _own_cell(rng) if own_cell else _any_lattice(rng, antiferromagnet)
    widest = _SQUARE_EXCHANGE if own_cell and antiferromagnet else 1.0
    bonds: list[tuple[tuple[int, int], float]] = [((1, 0), 1.0), ((0, 1), rng.uniform(0.3, widest))]
    if rng.random() < 0.4:
        bonds += [((1, 1), weight := rng.uniform(0, 0.4)), ((1, -1), weight)]
    top = highest * 50 ** -rng.random()
    more = rng.random() < 0.4
    return Magnet(
        lattice=lattice,
        bonds=tuple(bonds),
        antiferromagnet=antiferromagnet,
        gap=float(rng.uniform(0, 0.4) ** 2 / 0.4),
        falling=float(rng.uniform(0, 1.2)),
        tops=(top, float(np.clip(top * rng.uniform(0.4, 1.6), highest / 50, highest))) if more else (top,),
        shares=(1.0, float(rng.uniform(0.2, 1))) if more else (1.0,),
    )


def _any_lattice(rng: np.random.Generator, antiferromagnet: bool) -> Floats:
    """A lattice of random constants and angle, turned anyhow."""
    while True:
        constants = np.exp(rng.uniform(np.log(0.4), np.log(2.2), 2))
        angle = rng.uniform(60, 120) if rng.random() < 0.5 else 90.0
        if not antiferromagnet and rng.random() < 0.5:
            constants[1] = constants[0]
        oblong = abs(np.log(constants[1] / constants[0])) > _SQUARE_CONSTANTS
        if oblong or abs(angle - 90) > _SQUARE_ANGLE or not antiferromagnet:
            break
    turn = np.deg2rad(rng.choice([0.0, 45.0, rng.uniform(0, 180)]) + np.array([0.0, angle]))
    lattice: Floats = constants[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return lattice


def _own_cell(rng: np.random.Generator) -> Floats:
    """Multiples of the unit cell, along the axes or the diagonals, either axis first."""
    constants = rng.choice(_CELLS, 2)
    axes = np.array([[1.0, 1.0], [-1.0, 1.0]]) if rng.random() < 0.5 else np.eye(2)
    lattice: Floats = constants[:, None] * axes
    return lattice[::-1] if rng.random() < 0.5 else lattice


def spectrum(magnet: Magnet, edges: Floats, size: tuple[int, int], width: float) -> Floats:
    """Intensity per meV, (Ei, h, k, E), in ``size`` bins of h and k from −`EXTENT` to `EXTENT`.

    ``edges`` (Ei, E + 1) are those of the energy bins in meV; a line is a Gaussian whose σ_E is ``width``
    times the width of the first bin.
    """
    h, k = (positions(n, POINTS) for n in size)
    shape, strength = magnet.branch(magnet.gamma(h[:, None], k[None]))
    strength = strength * np.exp(-magnet.falling * (h[:, None] ** 2 + k[None] ** 2))
    out = np.empty((len(edges), *size, edges.shape[1] - 1))
    for number, bins in enumerate(edges):
        volume = np.zeros((*shape.shape, len(bins) - 1))
        for top, share in zip(magnet.tops, magnet.shares, strict=True):
            volume += binned_line(top * shape, share * strength, bins, max(width * (bins[1] - bins[0]), 1e-9))
        out[number] = averaged(volume, POINTS)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Magnets:
    """Draws magnets as panels of a mosaic, in network values."""

    edges: Floats
    """Of the energy bins in meV, (Ei, E + 1)."""
    scaling: Scaling
    noise: MeasurementNoise

    def panels(
        self, rng: np.random.Generator, level: float, size: tuple[int, int], own_cell: bool = False
    ) -> NDArray[np.float32]:
        """(Ei · E, h, k), of about the mean physical intensity ``level``; ``own_cell``: see `draw_magnet`."""
        magnet = draw_magnet(rng, 0.9 * float(self.edges.max()), own_cell)
        intensity = spectrum(magnet, self.edges, size, rng.uniform(0, 0.6))
        intensity *= (
            level * np.exp(_SPREAD * rng.standard_normal()) / max(float(intensity.mean()), 1e-9 * level)
        )
        noisy = self.noise.apply(rng, intensity[None].astype(np.float32))[0]
        scaled: NDArray[Any] = self.scaling.forward(np.moveaxis(noisy, -1, 1).astype(np.float64))
        return np.asarray(scaled.reshape(-1, *size), dtype=np.float32)
