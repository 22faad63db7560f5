"""A plain function of Q gives the spectrum that the spin-wave solver gives for the same excitations."""

from __future__ import annotations

import numpy as np
import pytest

from mantid_exp2sim import Binning, Exp2SimError, FitOptions, Histogram, fit, simulate
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.form_factor import form_factor
from mantid_exp2sim.simulation.material import Lattice, Parameter

A, C, SPIN = 4.215, 13.77, 2.5


def antiferromagnet(q: Floats, J1: float) -> tuple[Floats, Floats]:
    """The square lattice in closed form: ω = 4 S J1 √(1 − γ²), intensity ∝ (1 + q̂z²) F² (1 − γ)/√(1 − γ²)."""
    gamma = 0.5 * (np.cos(2 * np.pi * q[:, 0]) + np.cos(2 * np.pi * q[:, 1]))
    root = np.sqrt(np.maximum(1 - gamma**2, 1e-9))
    cartesian = 2 * np.pi * q / (A, A, C)
    squared = (cartesian**2).sum(axis=1)
    polarisation = 1 + cartesian[:, 2] ** 2 / np.maximum(squared, 1e-12)
    strength = 290.6 * SPIN / 2 * polarisation * form_factor("Mn2+", np.sqrt(squared)) ** 2
    energy, intensity = 4 * SPIN * J1 * root, strength * (1 - gamma) / root
    return energy[:, None], intensity[:, None]


def model(value: float = 0.65) -> FunctionModel:
    parameters = {"J1": Parameter(value=value, range=(0.2, 1.0))}
    return FunctionModel("square lattice", antiferromagnet, parameters, Lattice(a=A, b=A, c=C))


def volume(source: FunctionModel | str, **options: float) -> Histogram:
    binning = Binning.regular(14.0, bins=(16, 16, 7), energy=(1.4, 9.8))
    return simulate(source, binning=binning, grid=12, mask=None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["convolved", "integrated"])
def test_closed_form_equals_the_solver(kind: str) -> None:
    binning = Binning.regular(14.0, bins=(16, 16, 7), energy=(1.4, 9.8))
    ours, solver = (
        simulate(source, binning=binning, grid=12, mask=None, kind=kind).intensity  # type: ignore[arg-type]
        for source in (model(), "rb2mnf4")
    )
    assert ours.sum() == pytest.approx(solver.sum(), rel=0.01)
    tolerance = 0.02 if kind == "convolved" else 0.1
    assert np.linalg.norm(ours - solver) < tolerance * np.linalg.norm(solver)


def test_a_function_is_fitted() -> None:
    ideal = volume(model(0.58))
    variance = 0.02 * (ideal.intensity + 1)
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(ideal.shape)
    data = ideal.replace(intensity=ideal.intensity + noise, variance=variance)
    options = FitOptions(starts=4, samples=0, grid=12, width_scale=False)
    fitted = fit(data, model(), options=options).models["square lattice"]
    assert abs(fitted.mean["J1"] - 0.58) < 3.5 * fitted.sd["J1"]
    assert fitted.sd["J1"] < 0.005


def test_arrays_of_the_wrong_shape_are_named() -> None:
    flat = FunctionModel("flat", lambda q: (q[:, 0], q[:, 1]), {}, Lattice(a=A, b=A, c=C))
    with pytest.raises(Exp2SimError, match="gave arrays of shapes"):
        volume(flat)
