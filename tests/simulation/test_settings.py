"""Packages, frequencies and repetitions of the instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Binning, Exp2SimError, repetitions, resolution, simulate
from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import OptionError
from mantid_exp2sim.simulation.instrument import MAPS, load_instrument, shipped_instruments
from mantid_exp2sim.simulation.setting import Setting, complete
from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe

NAMES = ["MAPS", *shipped_instruments()]
PACKAGES = [(name, package.name) for name in NAMES for package in load_instrument(name).packages]


@pytest.mark.parametrize(("name", "package"), PACKAGES)
def test_widths_are_continuous_where_the_chopper_is_open(name: str, package: str) -> None:
    """Over all incident energies of the package, at one frequency; the width is never 0."""
    instrument = load_instrument(name).with_setting(package=package, frequency=200.0)
    assert instrument.incident_energies is not None
    low, high = instrument.incident_energies
    energies = [energy for energy in np.geomspace(low, high, 1000) if instrument.is_open(energy)]
    widths = np.array([resolution(instrument, energy, energy=0.0).fwhm_energy[0] for energy in energies])
    assert widths.min() > 0.002 * min(energies)
    jumps = np.abs(np.diff(np.log(widths))) / np.diff(np.log(energies))
    assert jumps.max() < 7  # Ei from 115 to 150 meV at the SNS, where the tail of the pulse ends


@pytest.mark.parametrize("name", NAMES)
def test_packages_can_be_changed_back(name: str) -> None:
    usual = load_instrument(name)
    for package in usual.packages:
        other = usual.with_package(package.name)
        assert other.package == package.name
        assert other.chopper_slit == package.chopper_slit
        assert other.with_package(usual.package) == usual


@pytest.mark.parametrize(
    ("name", "part", "package"),
    [
        ("ARCS", "100-1.5", "ARCS-100-1.5-AST"),
        ("ARCS", "100-1.5-smi", "ARCS-100-1.5-SMI"),
        ("SEQUOIA", "seq-700", "SEQ-700-3.5-AST"),
        ("SEQUOIA", "ast", "SEQ-100-2.0-AST"),
        ("MARI", "g", "G"),
    ],
)
def test_packages_by_parts_of_their_names(name: str, part: str, package: str) -> None:
    assert load_instrument(name).with_package(part).package == package


def test_a_part_of_several_packages_is_refused() -> None:
    with pytest.raises(Exp2SimError, match="3 packages with 'arcs-700'") as caught:
        load_instrument("ARCS").with_package("arcs-700")
    assert "ARCS-700-0.5-AST" in caught.value.reason


@pytest.mark.parametrize(
    ("name", "frequency", "why"),
    [("MAPS", 650.0, "50 to 600 Hz"), ("LET", 310.0, "10 to 300 Hz"), ("ARCS", 30.0, "60 to 600 Hz")],
)
def test_frequencies_out_of_range_are_refused_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, frequency: float, why: str
) -> None:
    energy = {"LET": 5.0}.get(name, 60.0)
    binning = Binning.regular(energy, bins=(4, 4, 4))
    for refused in (
        lambda: resolution(name, energy, frequency=frequency),
        lambda: repetitions(name, energy, frequency=frequency),
        lambda: simulate("rb2mnf4", binning=binning, instrument=name, frequency=frequency, grid=6),
    ):
        with pytest.raises(Exp2SimError, match="chopper frequency is") as caught:
            refused()
        assert why in caught.value.reason
    out = tmp_path / "out.npz"
    for command in ("resolution {name}", "simulate spectrum {out} --instrument {name} --grid 6"):
        words = command.format(name=name, out=out).split()
        setting = ["--incident-energy", str(energy), "--frequency", str(frequency)]
        assert main([*words, *setting]) == 2
        assert why in capsys.readouterr().err
    assert not out.exists()


def test_a_simulation_is_wider_with_a_wider_package_and_says_which() -> None:
    binning = Binning.regular(24.0, bins=(8, 8, 40), energy=(1.0, 12.0))
    settings: dict[str, Any] = {"binning": binning, "mask": None, "grid": 10, "instrument": "MERLIN"}
    usual = simulate("rb2mnf4", **settings, frequency=200.0)
    wide = simulate("rb2mnf4", **settings, frequency=200.0, package="S")
    slow = simulate("rb2mnf4", **settings, frequency=100.0)
    assert wide.intensity.max() < 0.95 * usual.intensity.max()
    assert slow.intensity.max() < 0.9 * usual.intensity.max()
    assert wide.metadata["history"][0]["package"] == "S"
    assert wide.metadata["history"][0]["frequency"] == 200.0
    assert "package" not in usual.metadata["history"][0]


def test_a_simulation_tells_how_its_instrument_was_set() -> None:
    """What takes the resolution out again needs no setting, and refuses one that cannot be."""
    chosen: dict[str, Any] = {"package": "S", "frequency": 200.0, "width_scale": 1.2}
    binning = Binning.regular(24.0, bins=(4, 4, 4))
    volume = simulate("rb2mnf4", binning=binning, instrument="MERLIN", grid=6, **chosen)
    merlin = load_instrument("MERLIN")
    assert complete(Setting(), volume).instrument == merlin.with_setting(**chosen)
    other = complete(Setting(package="G"), volume).instrument
    assert other == merlin.with_setting(**chosen | {"package": "G"})
    given = complete(Setting(instrument="MERLIN"), volume).instrument
    assert given == merlin
    with pytest.raises(OptionError, match="chopper frequency is 700"):
        complete(Setting(frequency=700.0), volume)


def test_recipes_choose_package_and_frequency(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    text = 'name = "set"\nseed = 1\ntrain = 1\nvalidation = 1\ntest = 1\ninstrument = "MERLIN"\n'
    path.write_text(text + 'package = "S"\nfrequency = 300\n', encoding="utf-8")
    instrument = read_recipe(path).options.instrument
    assert (instrument.package, instrument.frequency(50.0)) == ("S", 300.0)
    for line, summary in (
        ('package = "Z"\n', "no package 'Z'"),
        ("frequency = 700\n", "chopper frequency is"),
    ):
        path.write_text(text + line, encoding="utf-8")
        with pytest.raises(Exp2SimError, match=summary):
            read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('package = "G"', 'package = "Z"', "package is none of"),
        ("openings_per_turn = 1 ", "#", "do not all set the same"),
        ("[7, 150]", "[7, 700]", "not between 50 and 600 Hz"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = shipped_instruments()["MERLIN"].read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(Exp2SimError, match="cannot be used") as caught:
        load_instrument(str(path))
    assert why in str(caught.value)


def test_let_passes_every_fourth_opening_of_its_last_chopper() -> None:
    """Chopper 1 and the pulse remover let through one of four, at 23.5 m every 2/240 s."""
    energies = np.array(repetitions("LET", 22.78, frequency=240.0))
    np.testing.assert_allclose(energies[:4], [22.78, 7.52, 3.70, 2.20], rtol=0.005)
    times = 23.5 / (437.393 * np.sqrt(energies))
    np.testing.assert_allclose(np.diff(times), 2 / 240.0, rtol=1e-4)
    assert times.max() < 0.1
    assert repetitions("LET", float(energies[2]), frequency=240.0) == pytest.approx(energies)


def test_merlin_passes_what_the_disc_leaves() -> None:
    """The straight slits open twice per turn; the disc at 9.3 m from 1.5 ms on, for 0.95 m of 1.57 m."""
    energies = np.array(repetitions("MERLIN", 120.0, frequency=400.0))
    times = 9.995 / (437.393 * np.sqrt(energies))
    np.testing.assert_allclose(np.diff(times), 1 / 800.0, rtol=1e-3)
    assert energies[0] == 120.0  # the next would be above 181 meV, for which the slits are not
    at_disc = 1e3 * times * 9.3 / 9.995
    assert at_disc.max() < 14.5 < at_disc.max() + 1.25
    assert repetitions("MERLIN", 120.0, frequency=400.0, package="S") == [120.0]


def test_repetitions_of_others_are_not_known() -> None:
    with pytest.raises(Exp2SimError, match="repetitions of MAPS are not known"):
        repetitions(MAPS, 50.0)
    with pytest.raises(Exp2SimError, match="is shut"):
        repetitions("MERLIN", 400.0)
