"""Phonons of Euphonic and spin waves of pySpinW against closed forms, where these programs are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

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


def test_a_ferromagnet_of_pyspinw_has_the_energies_of_the_closed_form(example: ModuleType) -> None:
    pytest.importorskip("pyspinw", exc_type=ImportError)
    energy, _ = example.ferromagnet().excitations(Q, np.array([-0.7]))
    expected = 2 * 0.7 * 2.5 * (1 - np.cos(2 * np.pi * Q)).sum(axis=1)
    np.testing.assert_allclose(energy[:, -1], expected, rtol=1e-4)
