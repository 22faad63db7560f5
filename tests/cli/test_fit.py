"""``exp2sim fit``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import Binning, save, simulate
from mantid_exp2sim.cli import main
from mantid_exp2sim.simulation.binning import mosaic_binnings


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "measured.npz"
    binning = Binning.regular(14.0, bins=(12, 12, 5), energy=(1.4, 9.8))
    ideal = simulate("rb2mnf4", binning=binning, grid=8)
    variance = 0.02 * (np.nan_to_num(ideal.intensity) + 1)
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(ideal.shape)
    save(ideal.replace(intensity=ideal.intensity + noise, variance=variance), path)
    return path


def test_json_and_folder(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fitted"
    command = f"fit {measured} --model rb2mnf4 --out {out} --starts 2 --samples 20 --grid 8 --fix J2=0 --json"
    assert main(command.split()) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["best"] == "Rb2MnF4"
    assert report["neither"] is False
    model = report["models"]["Rb2MnF4"]
    j1 = model["parameters"]["J1"]
    assert j1["interval_95"][0] < 0.65 < j1["interval_95"][1]
    assert j1["interval_95"][0] < j1["interval_68"][0] < j1["mean"] < j1["interval_68"][1]
    assert {"chi2_reduced", "log_evidence", "p_value"} <= set(model)
    files = {path.name for path in out.iterdir()}
    assert {"fit.json", "rb2mnf4-corner.png", "rb2mnf4-residuals-1.png", "bins-1.npz"} <= files
    with np.load(out / "rb2mnf4-draws.npz") as draws:
        assert draws["names"].tolist() == ["J1", "width_scale"]
        assert draws["weights"].sum() == pytest.approx(1.0)


def test_text_has_the_sentence_and_a_table(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"fit {measured} --model rb2mnf4 --starts 2 --samples 0 --grid 8 --fix J2=0"
    assert main(command.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Rb2MnF4 explains the data")
    assert any(line.split()[:1] == ["J1"] for line in lines)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--fix J2", "fix J2 cannot be read."),
        ("--bounds J1=0.4", "bounds J1=0.4 cannot be read."),
        ("--instrument LET --instrument MAPS", "There are 1 files and 2 values of --instrument."),
    ],
)
def test_wrong_options_are_named(
    measured: Path, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"fit {measured} --model rb2mnf4 {option} --json".split()) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["error"] == message
    assert report["fix"]


def test_classify_has_the_fit_in_its_json(
    models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {"JF2": -1.35, "JF3": 1.5, "JA": 1.5, "JFW": -8.4, "JA1": 1.5, "JA2": 1.5, "D": 0.074}
    quick = {"starts": 1, "samples": 0, "grid": 6, "fixed": {**held, "Jperp": 0.88, "width_scale": 1.0}}
    monkeypatch.setattr("mantid_exp2sim.application.likelihood.QUICK", quick)
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))
    path = tmp_path / "measured.npz"
    save(simulate("Goodenough", binning=mosaic_binnings()[2], noise=0.7, seed=1, grid=6), path)
    command = f"classify {path} --model tiny --data-kind convolved --fit --json"
    assert main(command.split()) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["likelihood"]["prediction"] == "Goodenough"
    assert report["likelihood"]["delta_chi2"]["Dimer"] > 300
    assert any("the fit disagrees" in text for text in report["warnings"])  # that network is not trained
