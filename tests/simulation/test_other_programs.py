"""Phonons of Euphonic and spin waves of pySpinW against closed forms, where these programs are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.material import Lattice
from mantid_exp2sim.simulation.measurement import find_model, simulate
from mantid_exp2sim.simulation.other_programs import euphonic_model

ROOT = Path(__file__).resolve().parents[2]
Q = np.array([[0.1, 0.2, 0.4], [0.5, 0.25, 0.0], [0.3, 0.3, 0.3]])


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples" / "fit_other_programs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_springs_of_euphonic_have_the_energies_of_the_closed_form(example: ModuleType) -> None:
    pytest.importorskip("euphonic", exc_type=ImportError)
    energy, strength = example.springs().excitations(Q, np.array([1.0]))
    along, across = 300.0, 60.0  # meV Å⁻²
    mass = 27 * 1.66053907e-27 / 1.602176634e-22 * 1e-20  # meV s² Å⁻²
    squares = 2 * (1 - np.cos(2 * np.pi * Q))
    total = across * squares.sum(axis=1, keepdims=True) + (along - across) * squares
    expected = np.sort(6.582119569e-13 * np.sqrt(total / mass), axis=1)
    np.testing.assert_allclose(np.sort(energy, axis=1), expected, rtol=1e-4)
    assert (strength >= 0).all()


def test_force_constants_of_euphonic_are_simulated_as_they_are(example: ModuleType) -> None:
    pytest.importorskip("euphonic", exc_type=ImportError)
    constants = example.force_constants()
    by_hand = euphonic_model(constants, Lattice(a=4.0, b=4.0, c=4.0))
    bins = Binning.regular(60.0, bins=(4, 4, 3))
    here, there = (
        simulate(item, binning=bins, instrument="MERLIN", mask=None) for item in (constants, by_hand)
    )
    assert float(here.intensity.sum()) > 0
    np.testing.assert_allclose(here.intensity, there.intensity)


def test_the_cell_is_that_of_the_crystal() -> None:
    """A triclinic one, turned: Euphonic's crystals may lie anyhow."""
    euphonic = pytest.importorskip("euphonic", exc_type=ImportError)
    lattice = Lattice(a=3.0, b=4.0, c=5.0, alpha=80.0, beta=95.0, gamma=110.0)
    turn = np.linalg.qr(np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0], [1.0, 0.0, 1.0]]))[0]
    ureg = euphonic.ureg
    crystal = euphonic.Crystal(
        0.1 * lattice.vectors() @ turn * ureg("nm"),
        np.zeros((1, 3)),
        np.array(["Al"]),
        np.ones(1) * ureg("amu"),
    )
    constants: Any = SimpleNamespace(crystal=crystal, calculate_qpoint_phonon_modes=None)
    model = find_model(constants)
    assert isinstance(model, FunctionModel)
    np.testing.assert_allclose(model.lattice.cell, lattice.cell)


def test_a_hamiltonian_of_pyspinw_needs_its_ion() -> None:
    class Hamiltonian:
        def energies_and_intensities(self) -> None: ...

    hamiltonian: Any = Hamiltonian()
    with pytest.raises(Exp2SimError, match="tells neither its ion nor which constants"):
        simulate(hamiltonian, binning=Binning.regular(60.0, bins=(4, 4, 3)))


def test_a_ferromagnet_of_pyspinw_has_the_energies_of_the_closed_form(example: ModuleType) -> None:
    pytest.importorskip("pyspinw", exc_type=ImportError)
    energy, _ = example.ferromagnet().excitations(Q, np.array([-0.7]))
    expected = 2 * 0.7 * 2.5 * (1 - np.cos(2 * np.pi * Q)).sum(axis=1)
    np.testing.assert_allclose(energy[:, -1], expected, rtol=1e-4)
