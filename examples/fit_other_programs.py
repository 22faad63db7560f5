"""Phonons of Euphonic and a magnet of pySpinW, seen with the resolution of MERLIN and fitted.

    pip install euphonic pyspinw
    python examples/fit_other_programs.py

Simulates both with noise, and finds the constant that was put in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mantid_exp2sim import Binning, FitOptions, FunctionModel, Measurement, fit, simulate
from mantid_exp2sim.simulation.material import Lattice, Parameter
from mantid_exp2sim.simulation.other_programs import euphonic_model, pyspinw_model

CUBE = 4.0
"""Å."""


def force_constants() -> Any:
    """Of a simple cubic lattice with springs between nearest neighbours along the bond and across it."""
    from euphonic import Crystal, ForceConstants, ureg

    crystal = Crystal(
        CUBE * np.eye(3) * ureg("angstrom"),
        np.zeros((1, 3)),
        np.array(["Al"]),
        np.array([27.0]) * ureg("amu"),
    )
    cells = np.array([[x, y, z] for x in range(3) for y in range(3) for z in range(3)])
    matrices = np.zeros((27, 3, 3))
    for axis in range(3):
        spring = np.diag([30.0 if i == axis else 6.0 for i in range(3)])
        for cell in (1, 2):  # the neighbours on both sides
            matrices[np.flatnonzero((cells == np.eye(3, dtype=int)[axis] * cell).all(axis=1))] -= spring
        matrices[0] += 2 * spring
    units = ureg("meV/angstrom**2")
    return ForceConstants(crystal, matrices * 10 * units, 3 * np.eye(3, dtype=int), cells)


def springs() -> FunctionModel:
    """The phonons of these springs, in the cell of their crystal."""
    return euphonic_model(force_constants())


def ferromagnet() -> FunctionModel:
    """A simple cubic ferromagnet of spins 5/2."""
    import pyspinw

    def build(J: float) -> Any:
        site = pyspinw.Site(0, 0, 0, 0, 0, 2.5, name="Mn2+")
        structure = pyspinw.Structure([site], pyspinw.UnitCell(CUBE, CUBE, CUBE))
        bonds = [
            pyspinw.HeisenbergExchange(site, site, cell_offset=tuple(cell), j=J)
            for cell in np.eye(3, dtype=int).tolist()
        ]
        return pyspinw.Hamiltonian(structure, bonds)

    cell = Lattice(a=CUBE, b=CUBE, c=CUBE)
    return pyspinw_model(build, {"J": Parameter(value=-0.9, range=(-2.0, -0.3))}, cell, ion="Mn2+")


def recovered(model: FunctionModel, truth: dict[str, float]) -> str:
    """Simulate a noisy volume on MERLIN, fit it, and say what came back."""
    binning = Binning.regular(50.0, bins=(12, 12, 6), energy=(5, 35))
    ideal = simulate(model, truth, binning=binning, instrument="MERLIN", grid=6)
    expected = np.nan_to_num(ideal.intensity)
    variance = 0.02 * expected.mean() * (expected + expected.mean())
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(ideal.shape)
    data = ideal.replace(intensity=expected + noise, variance=variance)
    options = FitOptions(starts=4, samples=0, grid=6, width_scale=False)
    return f"put in {truth}: {fit(Measurement(data, 'MERLIN'), model, options=options).sentence}"


if __name__ == "__main__":
    print(recovered(springs(), {"stretch": 1.1}))
    print(recovered(ferromagnet(), {"J": -0.7}))
