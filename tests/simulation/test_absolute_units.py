"""Absolute intensities: a sum rule in mb/sr per formula unit, and what the published images are in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, PANEL, picture_from_volumes
from mantid_exp2sim.simulation.binning import Binning, mosaic_binnings
from mantid_exp2sim.simulation.form_factor import form_factor
from mantid_exp2sim.simulation.instrument import kinematics
from mantid_exp2sim.simulation.manganite import BEST_FIT
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.measurement import find_model, model_parameters, simulate, solve
from mantid_exp2sim.simulation.options import Options

CROSS_SECTION = (1.91304 * 2.81794) ** 2 * 10
"""(γ r₀)² in mb, from γ and r₀ in fm (CODATA)."""
SIDE = 4.0


def ferromagnet(*, spin: float, cells: int, formula_units: int, g: float = 2.0) -> Description:
    """Square-lattice layers, spins along c; ``cells`` chemical cells (one spin) in a magnetic one."""
    return Description.model_validate(
        {
            "name": "layers",
            "lattice": {"a": SIDE, "b": SIDE, "c": 5.0},
            "magnetic_cell": [[cells, 0, 0], [0, 1, 0], [0, 0, 1]],
            "formula_units": formula_units,
            "parameters": {"J": {"value": -1.0 / spin}},
            "sites": [
                {
                    "name": "M",
                    "ion": "Mn2+",
                    "spin": spin,
                    "g": g,
                    "direction": [0, 0, 1],
                    "positions": [[number, 0, 0] for number in range(cells)],
                }
            ],
            "bonds": [{"parameter": "J", "vectors": [[1, 0, 0], [0, 1, 0]]}],
        }
    )


@pytest.mark.parametrize(
    ("spin", "cells", "formula_units", "g"),
    [(0.5, 1, 1, 2.0), (2.0, 1, 1, 1.0), (2.0, 2, 2, 2.0), (2.0, 2, 1, 2.0)],
)
def test_a_ferromagnet_scatters_half_its_moment_squared(
    spin: float, cells: int, formula_units: int, g: float
) -> None:
    """∫ dE = (γ r₀)² (g/2)² F² (S/2)(1 + q̂z²) per spin (Squires 1978, eq. 8.43 at T = 0, without kf/ki)."""
    model = ferromagnet(spin=spin, cells=cells, formula_units=formula_units, g=g)
    h, k = np.array([0.20, 0.22]), np.array([0.29, 0.31])
    binning = Binning(h, k, np.linspace(0.5, 6.0, 12), 30.0)
    spectrum = simulate(model, binning=binning, kind="integrated", mask=None, grid=100)
    total = float((spectrum.intensity * np.diff(binning.energy_edges)).sum())
    energy = 2 * (2 - np.cos(2 * np.pi * 0.21) - np.cos(2 * np.pi * 0.30))
    across = 2 * np.pi / SIDE * np.hypot(0.21, 0.30)
    along = float(kinematics(across, energy, 30.0)[0])
    q = np.hypot(across, along)
    moment = (g / 2 * float(form_factor("Mn2+", np.array(q)))) ** 2
    each = CROSS_SECTION * moment * spin / 2 * (1 + (along / q) ** 2)
    assert total == pytest.approx(each / formula_units, rel=0.01)


def test_published_images_are_not_in_these_units(reference_data: Path) -> None:
    """One factor of 0.24 for every incident energy: a unit, and no physics."""
    published = np.load(reference_data / "pcsmo" / "tobyfit_goodenough_best_fit.npy").squeeze()
    waves = solve_manganite("Goodenough", BEST_FIT["Goodenough"], Options(physics="paper_compatible"))
    image = picture_from_volumes(np.stack([waves.volume(binning) for binning in mosaic_binnings()]))
    panels = [slice(PANEL * i, PANEL * (i + 1)) for i in range(len(INCIDENT_ENERGIES))]
    ratios = [published[p].sum() / image[p][published[p] > 0].sum() for p in panels]
    assert ratios == pytest.approx([0.24] * len(panels), abs=0.015)


@pytest.mark.parametrize("name", ["Goodenough", "pcsmo-goodenough"])
def test_shares_of_twins_add_up(name: str) -> None:
    """A crystal of shares (p, 1 − p) scatters the sum of its twins; more or fewer shares are refused."""
    binning = Binning.regular(35.0, bins=(8, 12, 4))
    model = find_model(name)
    constants = list(model_parameters(model).values())

    def volume(*shares: float) -> Floats:
        return solve(model, constants, Options(grid=10, twin_shares=shares)).volume(binning)

    first, second = volume(1, 0), volume(0, 2)
    assert np.abs(first - second).max() > 0.05 * first.max()
    assert volume(3, 1) == pytest.approx(0.75 * first + 0.25 * second, abs=1e-3 * first.max())
    assert volume() == pytest.approx(0.5 * (first + second), abs=1e-3 * first.max())
    with pytest.raises(Exp2SimError, match="shares of the twins"):
        volume(1, 1, 1)
