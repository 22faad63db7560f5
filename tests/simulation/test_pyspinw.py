"""Every shipped description solved by pySpinW too, where that is installed (``pip install pyspinw``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mantid_exp2sim.simulation import spin_waves as spinwave
from mantid_exp2sim.simulation.crystal import Assembly, assemble
from mantid_exp2sim.simulation.material import Description, read_description, shipped

FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module")
def pyspinw() -> Any:
    return pytest.importorskip("pyspinw", minversion="1.1.0b2", exc_type=ImportError)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_energies_and_intensities_are_those_of_pyspinw(pyspinw: Any, name: str) -> None:
    q = np.random.default_rng(3).random((40, 3)) * 2
    description = read_description(shipped()[name])
    omega, intensity = solve(pyspinw, description, q)
    assembly = assemble(description)
    structure, bonds, anisotropy = assembly.hamiltonian(description.values)
    expected, sab = spinwave.solve(structure, bonds, assembly.to_cell(q), anisotropy=anisotropy)
    assert np.abs(omega - expected).max() < 1e-6
    unit = q @ np.linalg.inv(description.lattice.vectors()).T
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    across = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    assert np.allclose(intensity.sum(axis=1), np.einsum("qab,qmab->q", across, sab).real, rtol=1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What pySpinW asks of a path."""

    q: FloatArray

    def q_points(self) -> FloatArray:
        return self.q


def solve(pyspinw: Any, description: Description, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies (nq, n) in meV, ascending, and intensities per magnetic cell without form factors."""
    assembly = assemble(description)
    points = Points(assembly.to_cell(q))
    energies, intensities = hamiltonian(pyspinw, assembly, description).energies_and_intensities(points)
    energies, intensities = np.real(np.asarray(energies)), np.real(np.asarray(intensities))
    order = np.argsort(energies, axis=1)[:, -len(assembly.spins) :]
    return np.take_along_axis(energies, order, axis=1), np.take_along_axis(intensities, order, axis=1)


def hamiltonian(pyspinw: Any, assembly: Assembly, description: Description) -> Any:
    structure, bonds, anisotropy = assembly.hamiltonian(description.values)
    cell, turn = standard(assembly.cell)
    moments = (structure.directions * structure.spins[:, None]) @ turn.T
    sites = [
        pyspinw.Site(*place, *moment, name=f"{assembly.ions[assembly.ion[i]]} {i}")
        for i, (place, moment) in enumerate(zip(structure.positions % 1.0, moments, strict=True))
    ]
    home = np.floor(structure.positions).astype(int)
    exchanges = []
    for i, j, shift, matrix in zip(bonds.first, bonds.second, bonds.cell, bonds.exchange, strict=True):
        offset = tuple(int(x) for x in shift + home[j] - home[i])
        exchanges.append(pyspinw.exchange.Exchange(sites[i], sites[j], offset, turn @ matrix @ turn.T))
    terms = [
        pyspinw.Anisotropy(site, turn @ matrix @ turn.T)
        for site, matrix in zip(sites, anisotropy, strict=True)
        if np.abs(matrix).max() > 0
    ]
    return pyspinw.Hamiltonian(pyspinw.Structure(sites, pyspinw.UnitCell(*cell)), exchanges, terms)


def standard(cell: FloatArray) -> tuple[tuple[float, ...], FloatArray]:
    """Lengths and angles (degrees) of a cell, and the rotation to x along a and z normal to a and b."""
    a, b, c = cell
    lengths = np.linalg.norm(cell, axis=1)
    cosines = (
        b @ c / lengths[1] / lengths[2],
        a @ c / lengths[0] / lengths[2],
        a @ b / lengths[0] / lengths[1],
    )
    x, z = a / lengths[0], np.cross(a, b)
    z = z / np.linalg.norm(z)
    angles = np.degrees(np.arccos(cosines))
    return (*(float(v) for v in lengths), *(float(v) for v in angles)), np.stack([x, np.cross(z, x), z])
