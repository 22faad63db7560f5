"""How a made-up volume is measured: instrument, incident energy, crystal lattice, view and bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.coverage import coverage_mask
from mantid_exp2sim.simulation.instrument import load_instrument
from mantid_exp2sim.simulation.material import Lattice, Vector, View
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.simulation_conditions import SimulationConditions, log_uniform
from mantid_exp2sim.simulation.twins import oriented
from mantid_exp2sim.simulation.volume_bins import VolumeBins

INCIDENT_ENERGIES = {
    "MAPS": (15.0, 250.0),
    "MERLIN": (8.0, 180.0),
    "MARI": (10.0, 200.0),
    "LET": (2.5, 25.0),
    "ARCS": (15.0, 250.0),
    "SEQUOIA": (8.0, 200.0),
}
"""meV, from which the incident energy is drawn on a logarithmic scale."""
CONDITIONS = SimulationConditions(
    frequency_factor=(0.7, 1.3), width_scale=(0.9, 1.25), sample_factor=(0.5, 1.4)
)
MOST_BINS = 9000
POINTS_PER_BIN = 6
"""Of the grid on which a Hamiltonian is solved, along each axis."""
LEAST_MEASURED = 0.3
"""Share of the bins that a detector reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class WorldSetting:
    """A lattice and a view of it, an instrument and bins; ``mask`` (nh, nk, nE) where no detector reaches."""

    lattice: Lattice
    view: View
    options: Options
    binning: Binning
    mask: Booleans

    @property
    def edges(self) -> tuple[Floats, Floats, Floats]:
        """Edges of the bins along both axes of view in r.l.u., and of the energy in meV."""
        return self.binning.h_edges, self.binning.k_edges, self.binning.energy_edges

    @property
    def bins(self) -> VolumeBins:
        """The bins, for what a measurement adds."""
        h, k, energy = (tuple(edges.tolist()) for edges in self.edges)
        scaled = tuple(value / self.binning.incident_energy for value in energy)
        return VolumeBins(h, k, scaled, lengths(self.lattice, self.view))


def lengths(lattice: Lattice, view: View) -> tuple[float, float]:
    """Return 2π over the length of one r.l.u. of the two axes of view, in Å."""
    return oriented(lattice, view, "made-up")[1]


def draw_setting(seed: int, number: int) -> WorldSetting:
    """Draw the setting of a number; the same seed and number give the same setting.

    >>> first, again = draw_setting(1, 2), draw_setting(1, 2)
    >>> first.binning.incident_energy == again.binning.incident_energy, first.mask.shape == again.mask.shape
    (True, True)
    """
    rng = np.random.default_rng([seed, number, 0])
    while True:
        try:
            setting = _draw(rng)
        except Exp2SimError:  # a chopper that is shut, a view that no detector reaches
            continue
        if (~setting.mask).mean() >= LEAST_MEASURED:
            return setting


def _draw(rng: np.random.Generator) -> WorldSetting:
    name = str(rng.choice(list(INCIDENT_ENERGIES)))
    energy = log_uniform(rng, INCIDENT_ENERGIES[name])
    options = CONDITIONS.draw(rng, Options(load_instrument(name)))
    options.instrument.refuse_shut(energy)
    lattice, view = draw_lattice(rng)
    binning = _binning(rng, energy, lengths(lattice, view))
    widths = [float(np.diff(edges).mean()) for edges in (binning.h_edges, binning.k_edges)]
    grid = int(np.clip(0.5 * POINTS_PER_BIN / min(widths), 20, 80))
    mask = coverage_mask(
        *(binning.h_edges, binning.k_edges, binning.energy_edges), energy,
        lattice=lengths(lattice, view), instrument=options.instrument,
    )  # fmt: skip
    options = Options(options.instrument, grid=grid)
    return WorldSetting(lattice, view, options, binning, mask)


def draw_lattice(rng: np.random.Generator) -> tuple[Lattice, View]:
    """Draw a cell: square, rectangular, hexagonal or oblique in the plane of view, the beam along c."""
    a, c = log_uniform(rng, (3.0, 8.0)), log_uniform(rng, (5.0, 22.0))
    kind = rng.choice(["square", "rectangular", "hexagonal", "oblique"], p=[0.25, 0.35, 0.2, 0.2])
    b, gamma = a, 90.0
    if kind == "hexagonal":
        gamma = 120.0
    elif kind != "square":
        b = a * log_uniform(rng, (0.5, 2.0))
        gamma = 90.0 if kind == "rectangular" else float(rng.uniform(65, 115))
    lattice = Lattice(a=a, b=b, c=c, gamma=gamma)
    across = a / b * float(np.cos(np.radians(gamma)))
    vertical: Vector = (0.0, 1.0, 0.0) if kind in ("square", "rectangular") else (across, 1.0, 0.0)
    if kind == "square" and rng.random() < 0.3:
        return lattice, View(horizontal=(1.0, 1.0, 0.0), vertical=(-1.0, 1.0, 0.0))
    return lattice, View(horizontal=(1.0, 0.0, 0.0), vertical=vertical)


def _binning(rng: np.random.Generator, energy: float, sides: tuple[float, float]) -> Binning:
    """Bins of a volume, or of a slice or cut: axes with a single bin."""
    shape = rng.choice(["volume", "energy slice", "constant energy", "cut"], p=[0.76, 0.13, 0.07, 0.04])
    counts = {
        "volume": (rng.integers(20, 37), rng.integers(20, 37), rng.integers(8, 25)),
        "energy slice": (rng.integers(32, 65), 1, rng.integers(16, 61)),
        "constant energy": (rng.integers(32, 65), rng.integers(32, 65), 1),
        "cut": (1, 1, rng.integers(32, 81)) if rng.random() < 0.5 else (rng.integers(32, 81), 1, 1),
    }[str(shape)]
    h, k, e = (int(count) for count in counts)
    while h * k * e > MOST_BINS:
        h, k, e = max(h - 2, 1), max(k - 2, 1), max(e - 1, 1)
    wave = np.sqrt(energy / ENERGY_PER_K2)
    spans = []
    for count, side in zip((h, k), sides, strict=True):
        half = min(float(rng.uniform(0.35, 1.35)), 0.9 * wave * side / (2 * np.pi))
        middle = float(rng.uniform(-0.5, 0.5)) * half * (rng.random() < 0.35)
        if count == 1:
            middle, half = float(rng.uniform(-1, 1)) * half, half * float(rng.uniform(0.02, 0.08))
        spans.append((middle - half, middle + half))
    low = float(rng.uniform(0.04, 0.25))
    high = float(rng.uniform(0.5, 0.85)) if e > 1 else low + float(rng.uniform(0.02, 0.08))
    return Binning.regular(
        energy, bins=(h, k, e), h=spans[0], k=spans[1], energy=(low * energy, high * energy)
    )
