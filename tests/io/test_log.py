"""The library is silent, and logs what it reads; a command that takes long shows the log."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.training.cli import log_on_stderr


@pytest.fixture
def file(tmp_path: Path) -> Path:
    histogram = mantid_exp2sim.Histogram.from_arrays(
        [1.0], [mantid_exp2sim.Axis("DeltaE", np.array([0.0, 1.0]))]
    )
    mantid_exp2sim.save(histogram, tmp_path / "a.npz")
    return tmp_path / "a.npz"


def test_reading_is_logged_and_not_printed(
    file: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="mantid_exp2sim"):
        mantid_exp2sim.load(file)
    assert [record.name for record in caplog.records] == ["mantid_exp2sim.io"]
    assert f"read {file} (npz): Histogram(1 bins: DeltaE 0 to 1" in caplog.text
    assert capsys.readouterr() == ("", "")


def test_a_command_shows_the_log_while_it_runs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log_on_stderr():
        mantid_exp2sim.load(file)
    shown = capsys.readouterr().err
    assert shown.startswith(f"read {file}")
    mantid_exp2sim.load(file)
    assert capsys.readouterr().err == ""
