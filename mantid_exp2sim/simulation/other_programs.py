"""Models of other programs as `ExcitationModel`s: phonons of Euphonic, spin waves of pySpinW.

Neither program is needed by the package; both come from PyPI (``pip install euphonic``, ``pyspinw``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.constants import BOLTZMANN, GAMMA_R0_SQUARED
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.form_factor import form_factor
from mantid_exp2sim.simulation.material import Lattice, Parameter

MOST_SOLVED = 300
"""Sets of points whose phonons are kept: a fit asks for the same ones again."""


def as_model(model: Any) -> Any:
    """Return what can be simulated of an object of another program; anything else stays as it is.

    Raises
    ------
    Exp2SimError
        For a Hamiltonian of pySpinW, which does not tell its ion.
    """
    if hasattr(model, "calculate_qpoint_phonon_modes"):
        return euphonic_model(model)
    if hasattr(model, "energies_and_intensities"):
        raise Exp2SimError(
            "A Hamiltonian of pySpinW tells neither its ion nor which constants are free.",
            fix="Make a model of it with simulation.other_programs.pyspinw_model.",
        )
    return model


def euphonic_model(
    force_constants: Any, lattice: Lattice | None = None, *, name: str = "phonons", temperature: float = 5.0
) -> FunctionModel:
    """Make a model of force constants of Euphonic 2.

    Its constant is ``stretch``, a factor on all energies. Intensities are the structure factors of Euphonic
    in mb per cell of its crystal, times 1 + n(E) at ``temperature`` (K). h, k and l are those of Euphonic.
    ``lattice`` is by default the cell of its crystal.
    """

    solved: dict[bytes, tuple[Floats, Floats]] = {}

    def unstretched(q: Floats) -> tuple[Floats, Floats]:
        key = sha256(q.tobytes()).digest()
        if key not in solved:
            if len(solved) >= MOST_SOLVED:
                solved.clear()
            modes = force_constants.calculate_qpoint_phonon_modes(q, asr="reciprocal")
            factor = modes.calculate_structure_factor()
            quantities = factor.frequencies.to("meV"), factor.structure_factors.to("mbarn")
            solved[key] = np.asarray(quantities[0].magnitude), np.asarray(quantities[1].magnitude)
        return solved[key]

    def phonons(q: Floats, stretch: float) -> tuple[Floats, Floats]:
        energy, strength = unstretched(q)
        energy, strength = energy * stretch, strength / stretch
        occupation = -1 / np.expm1(-np.maximum(energy, 0.05) / (BOLTZMANN * temperature))
        return energy, np.where(energy > 0.05, strength * occupation, 0.0)

    stretch = {"stretch": Parameter(value=1.0, range=(0.7, 1.4))}
    return FunctionModel(name, phonons, stretch, lattice or _lattice_of(force_constants.crystal))


def _lattice_of(crystal: Any) -> Lattice:
    """The cell of a crystal of Euphonic, from its vectors (rows)."""
    vectors = np.asarray(crystal.cell_vectors.to("angstrom").magnitude, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = (vectors @ vectors.T / np.outer(lengths, lengths))[[1, 0, 0], [2, 2, 1]]
    alpha, beta, gamma = np.degrees(np.arccos(cosines)).round(9).tolist()
    a, b, c = lengths.tolist()
    return Lattice(a=a, b=b, c=c, alpha=alpha, beta=beta, gamma=gamma)


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """What pySpinW asks of a path."""

    q: Floats

    def q_points(self) -> Floats:
        return self.q


def pyspinw_model(
    build: Callable[..., Any],
    parameters: Mapping[str, Parameter],
    lattice: Lattice,
    *,
    ion: str,
    formula_units: float = 1.0,
    name: str = "pySpinW",
) -> FunctionModel:
    """Make a model of a Hamiltonian of pySpinW 1.1.

    ``build(**constants)`` returns the Hamiltonian for constants in meV; ``lattice`` is its cell, which holds
    ``formula_units``. Intensities are times the form factor of ``ion``. pySpinW gives at q the energies of
    -q: this is put right.
    """

    def spin_waves(q: Floats, **constants: float) -> tuple[Floats, Floats]:
        both = build(**constants).energies_and_intensities(_Points(-q))
        energy, strength = (np.real(np.asarray(array)) for array in both)
        order = np.argsort(energy, axis=1)[:, energy.shape[1] // 2 :]
        energy, strength = (np.take_along_axis(array, order, axis=1) for array in (energy, strength))
        length = 2 * np.pi * np.linalg.norm(q @ np.linalg.inv(lattice.vectors()).T, axis=1)
        scale = GAMMA_R0_SQUARED / formula_units * form_factor(ion, length) ** 2
        return energy, strength * scale[:, None]

    return FunctionModel(name, spin_waves, parameters, lattice)
