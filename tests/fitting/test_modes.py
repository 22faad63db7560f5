"""Constants that can be exchanged give two modes of the same height, and both are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import Binning, FitOptions, FunctionModel, Measurement, fit, simulate
from mantid_exp2sim.fitting.result import ModelFit
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.plotting.fit import draw_corner
from mantid_exp2sim.simulation.material import Lattice, Parameter


def two_chains(q: Floats, first: float, second: float) -> tuple[Floats, Floats]:
    """Two ferromagnetic chains along h, alike but for their constants."""
    shape = 4 * (1 - np.cos(2 * np.pi * q[:, :1]))
    return np.hstack([abs(first) * shape, abs(second) * shape]), np.ones((len(q), 2))


MODEL = FunctionModel(
    "two chains",
    two_chains,
    {"first": Parameter(value=-0.5, range=(-2.0, 0.0)), "second": Parameter(value=-0.6, range=(-2.0, 0.0))},
    Lattice(a=4, b=4, c=4),
)


@pytest.fixture(scope="module")
def chains() -> ModelFit:
    binning = Binning.regular(14.0, bins=(10, 3, 6), energy=(1.0, 10.0))
    ideal = simulate(MODEL, [-0.4, -0.9], binning=binning, grid=6, instrument="MERLIN")
    expected = np.nan_to_num(ideal.intensity)
    variance = 0.01 * expected + 1e-3 * expected.max()
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(expected.shape)
    data = Measurement(ideal.replace(intensity=expected + noise, variance=variance), "MERLIN")
    options = FitOptions(grid=6, starts=6, samples=0, fixed={"width_scale": 1.0})
    return fit(data, MODEL, options=options).models["two chains"]


def test_both_modes_are_found(chains: ModelFit) -> None:
    (one, loss), (other, above) = chains.modes
    assert loss == 0
    assert above == pytest.approx(0, abs=0.1)
    assert sorted([one["first"], one["second"]]) == pytest.approx([-0.9, -0.4], abs=0.02)
    assert (one["first"], one["second"]) == pytest.approx((other["second"], other["first"]))
    assert chains.permutations == ("first ↔ second",)


def test_the_corner_shows_both_modes(chains: ModelFit, tmp_path: Path) -> None:
    figure = draw_corner(chains, tmp_path / "corner.png")
    crosses = [
        np.asarray(line.get_xydata())[0]
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() == "x"
    ]
    expected = [[values["first"], values["second"]] for values, _ in chains.modes]
    assert np.sort(crosses, axis=0) == pytest.approx(np.sort(expected, axis=0))
    assert (tmp_path / "corner.png").stat().st_size > 1000
