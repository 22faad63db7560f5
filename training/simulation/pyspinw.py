"""The same descriptions solved by pySpinW, where it is installed: a second opinion on a model.

pySpinW (the package ``pyspinw`` of PyPI, GPL-3) brings Qt and is no dependency of this project:
``pip install 'mantid_exp2sim[pyspinw]'``. The package ``spinw`` is another one and is not used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mantid_exp2sim.errors import Exp2SimError

from .description import Description
from .structure import Assembly, assemble, check_values

FloatArray = NDArray[np.float64]
NEEDED = ("Hamiltonian", "DiagonalExchange", "Anisotropy", "Site", "Structure", "UnitCell")


def load() -> ModuleType:
    """The package ``pyspinw``; `Exp2SimError` where it is absent, broken or another package of that name."""
    way_out = "Install it beside this package: pip install 'mantid_exp2sim[pyspinw]'."
    try:
        found = importlib.import_module("pyspinw")
    except Exception as error:  # a broken Qt raises what it likes
        raise Exp2SimError("pyspinw cannot be imported.", why=str(error), way_out=way_out) from error
    missing = [name for name in NEEDED if not hasattr(found, name)]
    if missing:
        raise Exp2SimError(
            f"The package pyspinw at {found.__file__} is not pySpinW 1.1 or newer.",
            why=f"It has no {', '.join(missing)}.",
            way_out=way_out,
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """What pySpinW asks of a path."""

    q: FloatArray

    def q_points(self) -> FloatArray:
        return self.q


def solve(
    description: Description, parameters: ArrayLike | None, q: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Energies and intensities of a description by pySpinW.

    ``parameters`` (p,) in meV (None: the description's own), ``q`` (nq, 3) in r.l.u. of the lattice. Returns
    (omega, intensity), both (nq, n): energies in meV, ascending, of the n sites of the magnetic cell, and
    Σ_αβ (δ_αβ − q̂_α q̂_β) S^αβ per magnetic cell as pySpinW scales it, without form factors.
    """
    pyspinw = load()
    assembly = assemble(description)
    values = check_values(description, description.values if parameters is None else parameters)
    hamiltonian = _hamiltonian(pyspinw, assembly, values)
    points = _Points(assembly.to_cell(np.atleast_2d(np.asarray(q, dtype=float))))
    energies, intensities = hamiltonian.energies_and_intensities(points)
    energies, intensities = np.real(np.asarray(energies)), np.real(np.asarray(intensities))
    n = len(assembly.spins)
    order = np.argsort(energies, axis=1)[:, -n:]
    return np.take_along_axis(energies, order, axis=1), np.take_along_axis(intensities, order, axis=1)


def _hamiltonian(pyspinw: ModuleType, assembly: Assembly, values: FloatArray):  # type: ignore[no-untyped-def]
    structure, bonds, anisotropy = assembly.hamiltonian(values)
    cell, turn = _standard(assembly.cell)
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


def _standard(cell: FloatArray) -> tuple[tuple[float, ...], FloatArray]:
    """Lengths and angles (degrees) of a cell, and the rotation to x along a and z normal to a and b."""
    a, b, c = cell
    lengths = np.linalg.norm(cell, axis=1)
    cosines = (
        b @ c / lengths[1] / lengths[2],
        a @ c / lengths[0] / lengths[2],
        a @ b / lengths[0] / lengths[1],
    )
    if np.linalg.det(cell) < 0:
        raise Exp2SimError(
            "The magnetic cell is left-handed.", way_out="Exchange two of its axes in magnetic_cell."
        )
    x, z = a / lengths[0], np.cross(a, b)
    z = z / np.linalg.norm(z)
    angles = np.degrees(np.arccos(cosines))
    return (*(float(v) for v in lengths), *(float(v) for v in angles)), np.stack([x, np.cross(z, x), z])
