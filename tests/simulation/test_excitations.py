"""Zero modes are no excitations, and imaginary ones are refused with where they are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Binning, Exp2SimError, simulate
from mantid_exp2sim.cli import main
from mantid_exp2sim.simulation.excitations import Excitations
from mantid_exp2sim.simulation.manganite import BEST_FIT
from mantid_exp2sim.simulation.material import Description, read_description, shipped
from mantid_exp2sim.simulation.spectrum import solve_material
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError

EDGES = np.linspace(-1, 1, 21)
BINNING = Binning(EDGES, EDGES, np.linspace(0.8, 5.6, 9), 16.0)
KAGOME = """
name = "kagome"
lattice = { a = 6.0, b = 6.0, c = 8.0, gamma = 120 }
parameters = { J = { value = 1.0 } }
view = { horizontal = [1, 0, 0], vertical = [-1, 2, 0] }
[[sites]]
name = "A"
ion = "Cr3+"
spin = 1.5
direction = [2, 1, 0]
positions = [[0.5, 0, 0]]
[[sites]]
name = "B"
ion = "Cr3+"
spin = 1.5
direction = [-1, 1, 0]
positions = [[0, 0.5, 0]]
[[sites]]
name = "C"
ion = "Cr3+"
spin = 1.5
direction = [-1, -2, 0]
positions = [[0.5, 0.5, 0]]
[[bonds]]
parameter = "J"
shell = 1
"""
"""The q = 0 order of the Heisenberg kagome antiferromagnet: a third of its modes have no energy anywhere."""


@pytest.fixture
def kagome(tmp_path: Path) -> Path:
    path = tmp_path / "kagome.toml"
    path.write_text(KAGOME, encoding="utf-8")
    return path


def limited(**limits: float) -> Description:
    raw: dict[str, Any] = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    return Description.model_validate(raw | {"excitations": limits})


def test_the_flat_band_of_the_kagome_lattice_has_no_intensity(kagome: Path) -> None:
    """The mean of the lowest bin without the flat band, by brute force of the same Hamiltonian: 112.8."""
    volume = simulate(kagome, binning=BINNING, instrument="MERLIN", mask=None)
    assert volume.intensity.mean(axis=(0, 1))[0] == pytest.approx(112.846, abs=0.05)
    assert volume.metadata["history"][0]["modes_left_out"] > 1000
    everything = Excitations(lowest_energy=0, highest_strength=1e300)
    flat = simulate(kagome, binning=BINNING, instrument="MERLIN", mask=None, excitations=everything)
    assert flat.intensity.mean(axis=(0, 1))[0] > 1e4
    assert "modes_left_out" not in flat.metadata["history"][0]


@pytest.mark.parametrize("exchange", [0.1, 1.0, 10.0, 100.0])
def test_zero_modes_are_below_the_limit_for_every_size_of_the_exchange(exchange: float) -> None:
    waves = solve_material(Description.model_validate(tomllib.loads(KAGOME)), [exchange])
    energies, _ = waves.solve(np.random.default_rng(1).uniform(-2, 2, (200, 3)))
    assert energies[:, 0].max() < Excitations().lowest_energy
    assert energies[:, 1].mean() > exchange


def test_the_limits_are_those_of_the_description(kagome: Path) -> None:
    text = "excitations = { lowest_energy = 0, highest_strength = 1e300 }\n" + KAGOME
    kagome.write_text(text, encoding="utf-8")
    volume = simulate(kagome, binning=BINNING, instrument="MERLIN", mask=None, grid=8)
    assert volume.intensity.mean(axis=(0, 1))[0] > 1e4


def test_strong_modes_are_left_out_in_every_kind() -> None:
    """A square antiferromagnet's two modes have strengths of the order of S: none is below 1e-3."""
    for kind in ("convolved", "integrated", "centre"):
        volume = simulate(limited(highest_strength=1e-3), binning=BINNING, kind=kind, mask=None, grid=6)
        assert volume.intensity.max() == 0
        assert volume.metadata["history"][0]["modes_left_out"] > 0


def test_branches_along_the_beam_lose_the_modes_below_the_limit() -> None:
    """A coupling along c makes them steep; with all below the limit, nothing is left."""
    raw: dict[str, Any] = limited(lowest_energy=100.0).model_dump(mode="json")
    raw["parameters"]["Jc"] = {"value": -0.05}
    raw["bonds"].append({"parameter": "Jc", "vectors": [[0, 0, 1]]})
    volume = simulate(Description.model_validate(raw), binning=BINNING, mask=None, grid=4)
    assert volume.intensity.max() == 0
    assert volume.metadata["history"][0]["modes_left_out"] > 0


def test_built_in_models_take_the_limits() -> None:
    binning = Binning.regular(50.0, bins=(4, 4, 3))
    options: dict[str, Any] = {"binning": binning, "mask": None, "grid": 6}
    for kind in ("convolved", "centre"):
        usual = simulate("Dimer", kind=kind, **options)
        assert "modes_left_out" not in usual.metadata["history"][0]
        dark = simulate("Dimer", kind=kind, excitations=Excitations(lowest_energy=200.0), **options)
        assert dark.intensity.max() == 0 < usual.intensity.max()


def test_the_command_counts_and_takes_the_limits(kagome: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "simulate",
        "spectrum",
        "--overwrite",
        str(kagome.with_suffix(".npz")),
        "--description",
        str(kagome),
    ]
    where = ["--incident-energy", "16", "--bins", "4", "4", "4", "--grid", "6", "--instrument", "MERLIN"]
    energy = ["--energy", "0.8", "5.6"]
    assert main([*command, *where, *energy]) == 0
    assert re.search(r"[1-9]\d* modes are no excitations", capsys.readouterr().out)
    everything = ["--lowest-energy", "0", "--highest-strength", "1e300"]
    assert main([*command, *where, *energy, *everything, "--json"]) == 0
    assert "modes_left_out" not in json.loads(capsys.readouterr().out)
    assert main([*command, *where, *energy, "--lowest-energy", "-1"]) == 2
    assert "Give an energy from 0" in capsys.readouterr().err.replace("\n", " ")


def test_imaginary_energies_are_refused_with_where_they_are() -> None:
    """ω² = A² − B² with A = 4S[J1 − J2(1 − g2)], B = 4S J1 g1 is below 0 at the place that is named."""
    with pytest.raises(UnstableStructureError) as caught:
        solve_material(limited(), [0.65, 0.4])
    said = re.search(
        r"\(h, k, l\) = \((.+), (.+), (.+)\) energies are imaginary, up to ([0-9.]+)i meV", str(caught.value)
    )
    assert said is not None
    h, k, _, imaginary = (float(number) for number in said.groups())
    g1, g2 = (
        (np.cos(2 * np.pi * h) + np.cos(2 * np.pi * k)) / 2,
        np.cos(2 * np.pi * h) * np.cos(2 * np.pi * k),
    )
    square = (10 * (0.65 - 0.4 * (1 - g2))) ** 2 - (10 * 0.65 * g1) ** 2
    assert imaginary == pytest.approx(np.sqrt(-square), rel=0.01)


def test_imaginary_energies_of_a_built_in_model_are_refused_with_where_they_are() -> None:
    with pytest.raises(Exp2SimError, match=r"At \(h, k\) = \(.*\) energies are imaginary, up to .*i meV"):
        simulate("Dimer", [8.0, *BEST_FIT["Dimer"][1:]])
