"""The commands of docs/pipeline.md work as they are written, in a folder of reduced files."""

from __future__ import annotations

import re
import shlex
from glob import glob
from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import Axis, Histogram, load, mosaic, save, simulate
from mantid_exp2sim.cli import batch, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pipeline.md"
COMMANDS = re.findall(r"^\$ exp2sim (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reduced files of 140 meV that MAPS measured, and a measurement of six incident energies."""
    monkeypatch.chdir(tmp_path)
    for name in ("reduced", "measurement"):
        Path(name).mkdir()
    edges = mosaic.H_EDGES[12:29]  # the bins of the shipped model
    axes = [
        Axis("[H,0,0]", edges, "r.l.u.", "HKL"),
        Axis("[0,K,0]", edges, "r.l.u.", "HKL"),
        Axis("DeltaE", mosaic.window_edges(140.0), "meV"),
    ]
    rng = np.random.default_rng(0)
    about = {
        "incident_energy": 140.0,
        "instrument": "MAPS",
        "lattice": {"a": 5.4, "b": 5.4, "c": 19.3, "alpha": 90.0, "beta": 90.0, "gamma": 90.0},
    }
    values = rng.gamma(2.0, 1.0, (16, 16, 10))
    save(Histogram.from_arrays(values, axes, 0.1 * values, metadata=about), "reduced/MAP1.nxs")
    for part in mosaic.split(simulate("Goodenough", noise=0.7, seed=4)):
        save(part, f"measurement/{part.metadata['incident_energy']:g}.nxs")
    return tmp_path


def arguments(command: str) -> list[str]:
    """The words of a command, with the file names that a shell would put in."""
    words = shlex.split(command)
    return [name for word in words for name in (sorted(glob(word)) if "/*" in word else [word])]


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) == 6
    assert {command.split()[0] for command in COMMANDS} == {"deconvolve", "check", "classify"}


@pytest.mark.parametrize("command", [text for text in COMMANDS if "--watch" not in text])
def test_commands_work_as_written(command: str, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([*arguments(command), *(["--no-uncertainty"] if command.startswith("deconvolve") else [])])
    assert status == 0, capsys.readouterr().err
    results = [path for path in room.rglob("MAP1.*") if path.parent.name != "reduced"]
    if "--out-dir" in command:
        assert len(results) == 1
    if command.startswith("deconvolve"):
        assert load(results[0] if results else "measurement.npz").metadata["history"]


def test_the_watch_works_as_written(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter(range(2))

    def sleep(seconds: float) -> None:
        if next(waits, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(batch.whole_files, "__defaults__", (sleep,))
    (watch,) = [command for command in COMMANDS if "--watch" in command]
    assert main([*arguments(watch), "--no-uncertainty"]) == 0
    assert load("results/MAP1.nxs").shape == (16, 16, 10)
