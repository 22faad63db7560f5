"""Which bins the detectors of a spectrometer reach. The frame is that of `instrument`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.mosaic import H_EDGES, INCIDENT_ENERGIES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.instrument import MAPS, Instrument, kinematics


def reached(
    instrument: Instrument, qy: Floats, qz: Floats, energy: Floats, incident_energy: float
) -> Booleans:
    """Whether a detector of ``instrument`` stands where (Qy, Qz, E) is scattered to.

    ``qy`` (horizontal) and ``qz`` (vertical) in Å⁻¹, ``energy`` in meV, broadcast together; boolean result
    of that shape. The sample's c axis is along the beam.
    """
    along, _ = kinematics(np.hypot(qy, qz), energy, incident_energy)
    kx = np.sqrt(incident_energy / ENERGY_PER_K2) - along
    return detected(instrument, kx, -qy, -qz)  # Q = ki - kf


def detected(instrument: Instrument, kx: Floats, ky: Floats, kz: Floats) -> Booleans:
    """Whether a detector of ``instrument`` stands where neutrons with the final wave vector (kx, ky, kz) fly.

    Any unit; arrays that broadcast together. False for NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.degrees(np.arctan2(ky, kx))
        height = instrument.sample_to_detector * kz / np.hypot(kx, ky)
        hit = np.zeros(np.broadcast_shapes(angle.shape, height.shape), dtype=bool)
        for bank in instrument.banks:
            hit |= (
                (angle >= bank.horizontal[0])
                & (angle <= bank.horizontal[1])
                & (height >= bank.height[0])
                & (height <= bank.height[1])
            )
    return hit


def coverage_mask(
    h_edges: Floats,
    k_edges: Floats,
    energy_edges: Floats,
    incident_energy: float,
    *,
    lattice: tuple[float, float] = (5.408, 5.4599),
    instrument: Instrument = MAPS,
    samples: int = 4,
    fraction: float = 0.0,
) -> Booleans:
    """Find the bins of an (h, k, E) volume that no detector reaches, for c ∥ ki, h horizontal, k vertical.

    Edges of shape (nh + 1,), (nk + 1,) in r.l.u. and (nE + 1,) in meV; ``lattice`` is (a, b) in Å. Each bin
    is probed at ``samples``³ points and counts as measured where more than ``fraction`` of them meet a
    detector. Returns boolean (nh, nk, nE), True = not measured.

    Raises `Exp2SimError` where an edge array has fewer than two values.
    """
    points = []
    for edges in (h_edges, k_edges, energy_edges):
        edges = np.asarray(edges, dtype=float)
        if edges.ndim != 1 or edges.size < 2:
            raise Exp2SimError(
                "A bin needs two edges.",
                reason=f"Got an edge array of shape {edges.shape}.",
                fix="Give the borders of the bins, one more than bins.",
            )
        offsets = (np.arange(samples) + 0.5) / samples
        points.append((edges[:-1, None] + np.diff(edges)[:, None] * offsets).reshape(-1))
    qy = 2 * np.pi / lattice[0] * points[0]
    qz = 2 * np.pi / lattice[1] * points[1]
    hit = reached(instrument, qy[:, None, None], qz[None, :, None], points[2][None, None, :], incident_energy)
    shape = tuple(n for p in points for n in (p.size // samples, samples))
    return np.asarray(hit.reshape(shape).mean(axis=(1, 3, 5)) <= fraction)


@lru_cache(maxsize=4)
def mosaic_coverage_mask(instrument: Instrument = MAPS) -> Booleans:
    """Find the bins of the published mosaic that no detector reaches, True = not measured.

    Boolean (6, 40, 40, 10): Ei, h ascending, k ascending, energy window, as in `mantid_exp2sim.mosaic`.

    >>> from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
    >>> mosaic_coverage_mask().shape
    (6, 40, 40, 10)
    """
    mask = np.stack(
        [
            coverage_mask(H_EDGES, K_EDGES, WINDOW_EDGES * energy, energy, instrument=instrument)
            for energy in INCIDENT_ENERGIES
        ]
    )
    mask.setflags(write=False)
    return mask
