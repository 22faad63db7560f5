"""``exp2sim resolution``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import load
from mantid_exp2sim.cli import main


def test_json_holds_setting_widths_and_covariance(capsys: pytest.CaptureFixture[str]) -> None:
    command = "resolution MAPS --incident-energy 25 --frequency 150 --package S --energy 0 12.5 --json"
    assert main(command.split()) == 0
    report = json.loads(capsys.readouterr().out)
    setting = {"instrument": "MAPS", "incident_energy": 25.0, "frequency": 150.0, "package": "S"}
    assert {name: report[name] for name in setting} == setting
    assert report["energy"] == [0.0, 12.5]
    assert report["fwhm_energy"] == pytest.approx([0.0514 * 25, 0.0359 * 25], rel=0.01)
    covariance = np.array(report["covariance"])
    assert covariance.shape == (2, 4, 4)
    np.testing.assert_allclose(covariance, np.swapaxes(covariance, 1, 2), rtol=1e-9)
    np.testing.assert_allclose(report["fwhm_energy"], 2.35482 * np.sqrt(covariance[:, 3, 3]), rtol=1e-5)
    widths = 2.35482 * np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)[:, :3])
    np.testing.assert_allclose(report["fwhm_q"], widths, rtol=1e-5)


def test_table_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "widths.png"
    command = f"resolution merlin --incident-energy 50 --energy -5 0 20 --plot {picture}"
    assert main(command.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("MERLIN, Ei 50 meV, 300 Hz, package G")
    assert [float(line.split()[0]) for line in lines[3:]] == [-5.0, 0.0, 20.0]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_is_said_with_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "widths.png"
    command = f"resolution MAPS --incident-energy 70 --package Z --plot {picture} --json"
    assert main(command.split()) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["error"] == "MAPS has no package 'Z'."
    assert error["reason"] == "It has: S, A, B."
    assert error["fix"]
    assert not picture.exists()


def test_width_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    widths = []
    for scale in ("1", "1.25"):
        assert main(f"resolution LET --incident-energy 5 --width-scale {scale} --json".split()) == 0
        widths.append(json.loads(capsys.readouterr().out)["fwhm_energy"])
    np.testing.assert_allclose(widths[1], 1.25 * np.array(widths[0]))
    out = tmp_path / "wide.npz"
    command = f"simulate spectrum {out} --incident-energy 50 --bins 4 4 4 --grid 8 --width-scale 1.25"
    assert main(command.split()) == 0
    assert load(out).metadata["history"][0]["width_scale"] == 1.25


def test_repetitions(capsys: pytest.CaptureFixture[str]) -> None:
    command = "resolution LET --incident-energy 22.78 --frequency 240 --repetitions"
    assert main([*command.split(), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["repetitions"]
    assert [row["incident_energy"] for row in rows[:3]] == pytest.approx([22.78, 7.52, 3.70], rel=0.005)
    command_alone = command.replace("22.78", "7.522").replace("--repetitions", "--energy 0 --json")
    assert main(command_alone.split()) == 0
    alone = json.loads(capsys.readouterr().out)["fwhm_energy"][0]
    assert rows[1]["fwhm_elastic"] == pytest.approx(alone, rel=1e-3)
    assert main(command.split()) == 0
    assert "pass together" in capsys.readouterr().out
