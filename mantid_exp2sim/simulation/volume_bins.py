"""Where the bins of volumes lie in Q and energy, for what a measurement adds bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.mosaic import H_EDGES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.coverage import reached
from mantid_exp2sim.simulation.instrument import Instrument, kinematics
from mantid_exp2sim.simulation.manganite import LATTICE


@dataclass(frozen=True, slots=True)
class VolumeBins:
    """Edges of (h, k, E) volumes: h and k in r.l.u., energies in units of Ei; ``lattice`` (a, b) in Å.

    >>> MOSAIC.shape, round(float(MOSAIC.q_squared(25.0)[20, 20, 0]), 3)
    ((40, 40, 10), 0.056)
    """

    h: tuple[float, ...]
    k: tuple[float, ...]
    energy: tuple[float, ...]
    lattice: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of bins along h, k and E."""
        return len(self.h) - 1, len(self.k) - 1, len(self.energy) - 1

    @property
    def in_plane(self) -> tuple[Floats, Floats]:
        """Qy (h, 1, 1) and Qz (1, k, 1) of the bin centres in Å⁻¹."""
        qy, qz = (
            2 * np.pi / side * _centres(edges)
            for side, edges in zip(self.lattice, (self.h, self.k), strict=True)
        )
        return qy[:, None, None], qz[None, :, None]

    def energies(self, incident_energy: float) -> Floats:
        """Return the centres of the energy bins, (E,) in meV."""
        return incident_energy * _centres(self.energy)

    def q_squared(self, incident_energy: float) -> Floats:
        """Compute |Q|² (h, k, E) in Å⁻²; of the part across the beam where it cannot be reached."""
        return _q_squared(self, incident_energy)

    def reached_by(self, instrument: Instrument, incident_energy: float) -> Booleans:
        """Say whether a detector stands where the centre of a bin is scattered to, (h, k, E)."""
        qy, qz = self.in_plane
        return reached(instrument, qy, qz, self.energies(incident_energy), incident_energy)


@lru_cache(maxsize=64)
def _q_squared(edges: VolumeBins, incident_energy: float) -> Floats:
    qy, qz = edges.in_plane
    across = np.hypot(qy, qz)
    along, _ = kinematics(across, edges.energies(incident_energy), incident_energy)
    squares: Floats = across**2 + np.nan_to_num(along) ** 2
    squares.setflags(write=False)
    return squares


def _centres(edges: tuple[float, ...]) -> Floats:
    line = np.array(edges)
    return np.asarray(0.5 * (line[1:] + line[:-1]))


MOSAIC = VolumeBins(
    tuple(H_EDGES.tolist()), tuple(K_EDGES.tolist()), tuple(WINDOW_EDGES.tolist()), (LATTICE[0], LATTICE[1])
)
"""The bins of the published mosaic."""
