"""What a measurement shows beside spin waves: phonons, an elastic tail, a background, spurions.

Each function gives a shape (h, k, E) of one volume; `conditions` gives it its intensity.
"""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.constants import BOLTZMANN
from mantid_exp2sim.simulation.volume_bins import VolumeBins


def bose_factor(energy: Floats, temperature: float) -> Floats:
    """Compute n(E) + 1 = 1/(1 − exp(−E/kT)), the factor of creation at ``temperature`` (K); 1 at 0 K.

    >>> bose_factor(np.array([1.0, 100.0]), 11.6045).round(3).tolist()
    [1.582, 1.0]
    """
    if temperature == 0:
        return np.ones_like(energy)
    return np.asarray(-1 / np.expm1(-energy / (BOLTZMANN * temperature)))


def binned_line(omega: Floats, weight: Floats, edges: Floats, width: float) -> Floats:
    """Intensity per meV of a Gaussian line at ``omega`` (...) in energy bins of ``edges`` (E + 1,): (..., E).

    ``weight`` (...) is the area of the line, ``width`` its σ in meV.

    >>> line = binned_line(np.array(5.0), np.array(3.0), np.array([0.0, 4.0, 8.0]), 0.1)
    >>> line.round(3).tolist()
    [0.0, 0.75]
    """
    from scipy.special import ndtr

    below = ndtr((edges - omega[..., None]) / width)
    density: Floats = weight[..., None] * np.diff(below, axis=-1) / np.diff(edges)
    return density


def phonon_sheets(
    bins: VolumeBins, incident_energy: float, *, tops: tuple[float, float], temperature: float = 0.0
) -> Floats:
    """Compute lattice vibrations (h, k, E): Q²(n + 1)/ω of two acoustic branches and an optical one.

    ω_a = ω_max √((2 − cos 2πh − cos 2πk)/4), the transverse one 0.7 of the longitudinal; the optical branch
    falls by a tenth to the zone boundary. ``tops`` are both maxima in meV. Squires, *Thermal Neutron
    Scattering*, 1978, eq. 3.120. σ_E is 2.5 % of Ei.
    """
    h, k = (np.array(edges) for edges in (bins.h, bins.k))
    h, k = 0.5 * (h[1:] + h[:-1]), 0.5 * (k[1:] + k[:-1])
    way = (2 - np.cos(2 * np.pi * h)[:, None] - np.cos(2 * np.pi * k)[None]) / 4
    acoustic, optical = tops
    volume = np.zeros(bins.shape)
    for omega in (0.7 * acoustic * np.sqrt(way), acoustic * np.sqrt(way), optical * (1 - 0.1 * way)):
        weight = bose_factor(np.maximum(omega, 0.5), temperature) / np.maximum(omega, 0.5)
        volume += binned_line(omega, weight, incident_energy * np.array(bins.energy), 0.025 * incident_energy)
    return np.asarray(volume * bins.q_squared(incident_energy))


def elastic_tail(bins: VolumeBins, incident_energy: float, *, width: float) -> Floats:
    """Compute a Lorentzian about E = 0, (h, k, E), flat in Q; ``width`` is its HWHM in units of Ei."""
    energies = bins.energies(incident_energy) / incident_energy
    return np.broadcast_to(1 / (1 + (energies / width) ** 2), bins.shape)


def smooth_background(bins: VolumeBins, incident_energy: float, *, decay: float, rise: float) -> Floats:
    """Compute exp(−E/(decay·Ei))·(1 + rise·|Q|²/max |Q|²), (h, k, E)."""
    falling = np.exp(-bins.energies(incident_energy) / (decay * incident_energy))
    squares = bins.q_squared(incident_energy)
    return np.asarray(falling * (1 + rise * squares / squares.max()))


def spurions(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> Floats:
    """Draw ``count`` bright spots (G, h, k, E), Gaussian, of maximum 1 and σ of 0.5 to 1.5 bins.

    >>> float(spurions(np.random.default_rng(0), (1, 9, 9, 4), 1).max()).__round__(3)
    1.0
    """
    picture = np.zeros(shape)
    for _ in range(count):
        centre = [int(rng.integers(n)) for n in shape]
        widths = rng.uniform(0.5, 1.5, 3)
        spot = np.ones(())
        for n, at, width in zip(shape[1:], centre[1:], widths, strict=True):
            spot = np.multiply.outer(spot, np.exp(-0.5 * ((np.arange(n) - at) / width) ** 2))
        picture[centre[0]] = np.maximum(picture[centre[0]], spot)
    return picture
