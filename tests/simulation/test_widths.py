"""The resolution as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Binning, Exp2SimError, resolution, simulate
from mantid_exp2sim.simulation import resolution as eleven_variables
from mantid_exp2sim.simulation.instrument import MAPS
from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe


@pytest.mark.parametrize(("ei", "frequency"), [(25.0, 150.0), (25.0, 300.0), (100.0, 250.0), (140.0, 400.0)])
def test_energy_widths_of_tobyfit(ei: float, frequency: float) -> None:
    """MAPS, in % of Ei at E/Ei = 0, 0.3, 0.5, 0.7: the check values of the published analysis."""
    percent = {
        (25.0, 150.0): [5.14, 4.12, 3.59, 3.18],
        (25.0, 300.0): [3.84, 3.32, 3.04, 2.82],
        (100.0, 250.0): [5.76, 4.53, 3.88, 3.38],
        (140.0, 400.0): [4.83, 3.93, 3.45, 3.09],
    }[ei, frequency]
    widths = resolution("maps", ei, energy=np.array([0.0, 0.3, 0.5, 0.7]) * ei, frequency=frequency)
    assert widths.frequency == frequency
    np.testing.assert_allclose(100 * widths.fwhm_energy / ei, percent, atol=0.03)


def test_covariance_is_that_of_the_eleven_variables() -> None:
    """A million draws of them, at Q = 2π/a in the horizontal plane."""
    widths = resolution("MAPS", 70.0, energy=20.0, hkl=[1, 0, 0], lattice=[3.0, 4.0, 5.0])
    ki, kf = np.sqrt(70.0 / 2.0721), np.sqrt(50.0 / 2.0721)
    along = (ki**2 + (2 * np.pi / 3.0) ** 2 - kf**2) / (2 * ki)
    across = np.sqrt((2 * np.pi / 3.0) ** 2 - along**2)
    draws = eleven_variables.draw_variables(MAPS, 70.0, 1_000_000, np.random.default_rng(1))
    sample = draws @ eleven_variables.linear_map(MAPS, across, 0.0, 20.0, 70.0).T
    covariance = widths.covariance[0]
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        np.cov(sample.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=0.01
    )
    np.testing.assert_allclose(widths.fwhm_q[0], 2.3548 * scale[:3], rtol=1e-4)
    assert np.linalg.eigvalsh(covariance).min() > 0


@pytest.mark.parametrize(
    ("hkl", "lattice", "same"),
    [
        ([0, 0, 2], [3.0, 4.0, 10.0], [1, 0, 0]),
        ([1, 1, 0], [3.0 * 2, 3.0 * 2, 5.0, 90, 90, 120], [1, 0, 0]),  # |a* + b*| = 2·2π/(2·3)
    ],
)
def test_only_the_length_of_q_counts(hkl: list[float], lattice: list[float], same: list[float]) -> None:
    got = resolution("MERLIN", 50.0, energy=[0.0, 10.0], hkl=hkl, lattice=lattice)
    length = {10.0: 5.0}.get(lattice[2], 3.0)
    expected = resolution("MERLIN", 50.0, energy=[0.0, 10.0], hkl=same, lattice=[length, 9.0, 9.0])
    np.testing.assert_allclose(got.covariance, expected.covariance, rtol=1e-9)


def test_backwards_deviations_of_ki_and_kf_add() -> None:
    """At 2θ = 180°, E = 0, point sample, thin detectors: δE as straight on, δQ of the sum not the difference.

    Straight on, δQ is δE over 2 · 2.0721 · ki. A late neutron has a smaller ki and a larger kf, or the other
    way round, so that the sum is smaller.
    """
    thin = MAPS.model_copy(update={"sample": (1e-9,) * 3, "detector_depth": 1e-9})
    ki = np.sqrt(70.0 / 2.0721)
    back = resolution(thin, 70.0, energy=0.0, hkl=[1, 0, 0], lattice=[np.pi / ki * (1 + 1e-12)] * 3)
    straight = resolution(thin, 70.0, energy=0.0)
    np.testing.assert_allclose(back.fwhm_energy, straight.fwhm_energy, rtol=1e-5)
    np.testing.assert_allclose(straight.fwhm_q[0, 0], straight.fwhm_energy[0] / (2 * 2.0721 * ki), rtol=1e-6)
    assert back.fwhm_q[0, 0] < 0.9 * straight.fwhm_q[0, 0]


def test_the_widths_are_continuous_at_right_angles() -> None:
    length = np.sqrt(70.0 / 2.0721 + 50.0 / 2.0721)  # 2θ = 90° at E = 20 meV
    before, after = (
        resolution("MAPS", 70.0, energy=20.0, hkl=[1, 0, 0], lattice=[2 * np.pi / (length + shift), 9, 9])
        for shift in (-1e-5, 1e-5)
    )
    np.testing.assert_allclose(after.covariance, before.covariance, rtol=1e-3, atol=1e-8)


def test_a_package_is_named_as_a_whole_or_by_its_parts() -> None:
    expected = resolution("ARCS", 100.0).covariance
    for name in ("ARCS-100-1.5-AST", "100-1.5", "arcs-100-1.5-ast"):
        np.testing.assert_array_equal(resolution("ARCS", 100.0, package=name).covariance, expected)


@pytest.mark.parametrize(
    ("settings", "summary"),
    [
        ({"instrument": "HET"}, "no instrument"),
        ({"package": "Z"}, "no package 'Z'"),
        ({"incident_energy": -1.0}, "incident energy is -1"),
        ({"incident_energy": float("nan")}, "incident energy is nan"),
        ({"frequency": 0.0}, "frequency is 0"),
        ({"incident_energy": 5.0}, "shut"),
        ({"energy": [0.0, 70.0]}, "cannot be used"),
        ({"energy": []}, "cannot be used"),
        ({"energy": [float("nan")]}, "cannot be used"),
        ({"hkl": [1, 0, 0]}, "lattice of hkl is missing"),
        ({"hkl": [1, 0, 0], "lattice": [3.0, 4.0]}, "lattice cannot be used"),
        ({"hkl": [1, 0, 0], "lattice": [3, 4, 5, 10, 20, 90]}, "lattice cannot be used"),
        ({"hkl": [1, 0], "lattice": [3, 4, 5]}, "lattice cannot be used"),
        ({"hkl": [float("inf"), 0, 0], "lattice": [3, 4, 5]}, "lattice cannot be used"),
        ({"hkl": [9, 0, 0], "lattice": [3, 4, 5]}, "cannot be measured"),
        ({"hkl": [0.01, 0, 0], "lattice": [3, 4, 5], "energy": 60.0}, "cannot be measured"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_fix(settings: dict[str, Any], summary: str) -> None:
    usual: dict[str, Any] = {"instrument": "MAPS", "incident_energy": 70.0}
    with pytest.raises(Exp2SimError, match=summary) as caught:
        resolution(**{**usual, **settings})
    assert caught.value.fix


def test_width_scale_is_a_factor_on_all_widths() -> None:
    point: dict[str, Any] = {"energy": [0.0, 20.0], "hkl": [1, 0, 0], "lattice": [3.0, 4.0, 5.0]}
    for name in ("MAPS", "LET"):
        usual, wide = resolution(name, 25.0, **point), resolution(name, 25.0, width_scale=1.2, **point)
        np.testing.assert_allclose(wide.fwhm_energy, 1.2 * usual.fwhm_energy, rtol=1e-12)
        np.testing.assert_allclose(wide.covariance, 1.44 * usual.covariance, rtol=1e-9, atol=1e-15)


def test_width_scale_of_the_draws() -> None:
    usual, wide = (
        eleven_variables.draw_variables(MAPS.scaled(scale), 70.0, 100, np.random.default_rng(3))
        for scale in (1.0, 1.5)
    )
    np.testing.assert_allclose(wide, 1.5 * usual, rtol=1e-12)


def test_simulations_widen_and_say_so() -> None:
    binning = Binning.regular(24.0, bins=(8, 8, 40), energy=(1.0, 12.0))
    settings: dict[str, Any] = {"binning": binning, "mask": None, "grid": 10, "instrument": "MERLIN"}
    usual, same, wide, sharp = (
        simulate("rb2mnf4", **settings, **extra)
        for extra in ({}, {"width_scale": 1.0}, {"width_scale": 2.0}, {"kind": "integrated"})
    )
    np.testing.assert_array_equal(same.intensity, usual.intensity)
    assert same.metadata == usual.metadata
    assert wide.metadata["history"][0]["width_scale"] == 2.0
    peaks = [volume.intensity.max() for volume in (wide, usual, sharp)]
    assert peaks[0] < 0.8 * peaks[1] < 0.8 * peaks[2]
    for width_scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(Exp2SimError, match="width scale is"):
            simulate("rb2mnf4", **settings, width_scale=width_scale)


def test_recipes_scale_the_widths(tmp_path: Path) -> None:
    text = 'name = "scaled"\nseed = 1\ntrain = 1\nvalidation = 1\ntest = 1\ninstrument = "MERLIN"\n'
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    assert read_recipe(path).options.instrument.width_scale == 1.0
    path.write_text(text + "width_scale = 1.15\n", encoding="utf-8")
    assert read_recipe(path).options.instrument.width_scale == 1.15
    path.write_text(text + "width_scale = -1\n", encoding="utf-8")
    with pytest.raises(Exp2SimError, match="cannot be used"):
        read_recipe(path)
