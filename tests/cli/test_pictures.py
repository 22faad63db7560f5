"""A name that no picture can have is refused before any work, with the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mantid_exp2sim.cli import main

COMMANDS = {
    "plot": ["plot", "none.npy", "out.doc"],
    "deconvolve": ["deconvolve", "none.npy", "result.npz", "--plot", "out.doc"],
    "check": ["check", "none.npy", "--plot", "out.doc"],
    "explain": ["explain", "none.npy", "--plot", "out.doc"],
    "resolution": ["resolution", "none.toml", "--incident-energy", "9", "--plot", "out.doc"],
    "simulate": ["simulate", "spectrum", "spectrum.npz", "--plot", "out.doc"],
    "inspect": ["data", "inspect", "none", "--plot", "out.doc"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_ending_is_refused_before_the_input_is_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*COMMANDS[command], "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["error"] == "out.doc is no name of a picture."
    assert error["fix"] == "Let it end in .png, .pdf or .svg."
    assert not list(tmp_path.iterdir())
