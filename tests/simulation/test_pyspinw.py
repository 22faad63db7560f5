"""Models of every kind against pySpinW: recorded numbers, and pySpinW itself where it is installed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.simulation.material import Description, read_description, shipped
from tests.simulation.pyspinw_oracle import RECORDED, FloatArray, Q, of_equal_energy, solve, solved
from tests.simulation.spin_models import MODELS


@pytest.fixture(scope="module")
def pyspinw() -> Any:
    return pytest.importorskip("pyspinw", exc_type=ImportError)  # 1.1 was tried; it tells no version


def check(description: Description, q: FloatArray, energies: FloatArray, intensities: FloatArray) -> None:
    omega, intensity = solved(description, q)
    assert np.abs(omega - energies).max() < 1e-6
    if description.name == "ferrimagnet":  # pySpinW gives either mode the intensity of the other
        np.testing.assert_allclose(intensity.sum(axis=1), intensities.sum(axis=1), rtol=1e-5)
        return
    both = of_equal_energy(omega, intensity), of_equal_energy(omega, intensities)
    np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_energies_and_intensities_are_those_that_pyspinw_gave(name: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    check(MODELS[name], Q, np.array(recorded["energies"]), np.array(recorded["intensities"]))


@pytest.mark.parametrize("name", [*shipped(), *MODELS])
def test_energies_and_intensities_are_those_of_pyspinw(pyspinw: Any, name: str) -> None:
    q = np.random.default_rng(4).random((20, 3)) * 2
    description = MODELS[name] if name in MODELS else read_description(shipped()[name])
    check(description, q, *solve(pyspinw, description, q))
