"""Solve descriptions by pySpinW, record what it gives and print how far that is from what is solved here.

``python -m tests.simulation.pyspinw_oracle`` needs ``pip install pyspinw``; the tests compare with
what is recorded.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.simulation import spin_waves as spinwave
from mantid_exp2sim.simulation.crystal import Assembly, assemble
from mantid_exp2sim.simulation.material import Description
from tests.simulation.spin_models import MODELS

FloatArray = NDArray[np.float64]

RECORDED = Path(__file__).with_name("pyspinw.json")
Q: FloatArray = np.random.default_rng(3).random((5, 3)).round(3) * 2
"""The points (r.l.u. of the lattice) of the recorded numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What pySpinW asks of a path."""

    q: FloatArray

    def q_points(self) -> FloatArray:
        return self.q


def solve(pyspinw: Any, description: Description, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies (nq, modes) in meV, ascending, and intensities per magnetic cell without form factors.

    The local frames of pySpinW 1.1 are left-handed: its energies at q are those at -q. A closed form in
    ``test_spin_models`` says which are right.
    """
    assembly = assemble(description)
    points, model = Points(-assembly.to_cell(q)), hamiltonian(pyspinw, assembly, description)
    energies, intensities = model.energies_and_intensities(points, field=field(assembly))
    energies, intensities = np.real(np.asarray(energies)), np.real(np.asarray(intensities))
    order = np.argsort(energies, axis=1)[:, energies.shape[1] // 2 :]
    return np.take_along_axis(energies, order, axis=1), np.take_along_axis(intensities, order, axis=1)


def field(assembly: Assembly) -> FloatArray | None:
    """The field in T in the frame of `standard`."""
    settings = assembly.description.field
    if settings is None:
        return None
    _, turn = standard(assembly.cell)
    along = np.array(settings.direction) @ assembly.description.lattice.vectors()
    return settings.tesla * np.asarray(turn @ along) / float(np.linalg.norm(along))


def hamiltonian(pyspinw: Any, assembly: Assembly, description: Description) -> Any:
    structure, bonds, anisotropy = assembly.hamiltonian(description.values)
    cell, turn = standard(assembly.cell)
    spins = (structure.directions * structure.spins[:, None]) @ turn.T
    sites = [
        pyspinw.Site(*place, *spin, g=turn @ assembly.g[i] @ turn.T, name=f"Cr3+ {i}")
        for i, (place, spin) in enumerate(zip(structure.positions % 1.0, spins, strict=True))
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
    supercell = None
    if assembly.frame is not None:
        axis = turn @ assembly.frame.axis
        supercell = pyspinw.RotationSupercell(
            perpendicular=axis, propagation_vector=assembly.frame.propagation
        )
    lattice = pyspinw.Structure(sites, pyspinw.UnitCell(*cell), supercell=supercell)
    return pyspinw.Hamiltonian(lattice, exchanges, terms)


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


def solved(description: Description, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies (nq, modes) in meV, ascending, and intensities per magnetic cell without form factors."""
    assembly = assemble(description)
    structure, bonds, anisotropy = assembly.hamiltonian(description.values)
    spinwave.refuse_torque(description.name, structure, bonds, anisotropy)
    omega, sab = spinwave.solve(structure, bonds, assembly.to_cell(q), anisotropy=anisotropy)
    unit = q @ np.linalg.inv(description.lattice.vectors()).T
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    across = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    intensity = np.einsum("qab,qmab->qm", across, sab).real
    order = np.argsort(omega, axis=1)
    return np.take_along_axis(omega, order, axis=1), np.take_along_axis(intensity, order, axis=1)


def of_equal_energy(omega: FloatArray, intensity: FloatArray) -> FloatArray:
    """The intensity (nq, modes) of all modes at the energy of each: those of one energy mix at will."""
    same = np.abs(omega[:, :, None] - omega[:, None]) < 1e-4
    return np.asarray(np.einsum("qmn,qn->qm", same, intensity))


def main() -> None:
    pyspinw = importlib.import_module("pyspinw")
    recorded = {}
    for name, description in MODELS.items():
        (energies, intensities), (omega, intensity) = solve(pyspinw, description, Q), solved(description, Q)
        recorded[name] = {
            "energies": energies.round(10).tolist(),
            "intensities": intensities.round(10).tolist(),
        }
        theirs, ours = of_equal_energy(omega, intensities), of_equal_energy(omega, intensity)
        error = np.abs(theirs - ours).max() / np.abs(ours).max()
        print(f"{name:18} energies {np.abs(energies - omega).max():.1e} meV, intensities {error:.1e}")
    lines = (f"{json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in recorded.items())
    RECORDED.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
