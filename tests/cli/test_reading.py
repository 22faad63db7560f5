from __future__ import annotations

import json
from pathlib import Path

import pytest

from mantid_exp2sim.cli import main
from tests.fuzz import fuzz_readers as fuzz


def test_nxspe_with_a_lattice(reference_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = reference_data / "nxspe" / "MAR11001_test.nxspe"
    assert main(["info", str(path), "--json"]) == 0
    assert [a["measures"] for a in json.loads(capsys.readouterr().out)["axes"]] == ["modQ", "energy"]
    assert main(["info", str(path), "--lattice", "5.4", "5.4", "19.2", "--json"]) == 0
    assert [a["measures"] for a in json.loads(capsys.readouterr().out)["axes"]] == ["h", "k", "energy"]


def test_a_lattice_is_for_nxspe_alone(reference_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = reference_data / "mantid" / "mdhisto_2d.nxs"
    assert main(["info", str(path), "--lattice", "5.4", "5.4", "19.2"]) == 2
    assert "no NXSPE file" in capsys.readouterr().err.replace("\n", " ")


def test_equal_twins_are_said_to_be_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "twins.mat"
    path.write_bytes(fuzz.matlab5({"spec": fuzz.volume()}))
    assert main(["info", str(path), "--json"]) == 0
    equal = capsys.readouterr()
    assert "equal ones are assumed" in equal.err.replace("\n", " ")
    assert main(["info", str(path), "--json", "--twins", "3", "1"]) == 0
    weighted = capsys.readouterr()
    assert not weighted.err
    # the second twin is twice as bright: 3/2 and 5/4
    means = [json.loads(text.out)["mean"] for text in (equal, weighted)]
    assert means[0] / means[1] == pytest.approx(1.5 / 1.25)


def test_volumes_of_twins_are_for_spinw_alone(
    reference_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = reference_data / "mantid" / "mdhisto_2d.nxs"
    assert main(["info", str(path), "--twins", "3", "1"]) == 2
    assert "no result of SpinW" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("command", ["deconvolve", "convolve", "classify", "plot", "info"])
def test_the_help_names_what_is_read(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in (".nxs", ".sqw", ".mat", ".nxspe", ".npy", ".npz", "--lattice"))
    if command.endswith("convolve"):
        from mantid_exp2sim.io import ENDINGS

        written = text.split("OUT  ")[1]
        assert all(ending in written for ending in ENDINGS if ending not in (".d2d", ".d3d"))
