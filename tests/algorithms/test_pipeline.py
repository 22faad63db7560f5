"""examples/pipeline.py over a directory: exit status, log, results that are whole, and a second run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.scripts import load_script

FILE = Path(__file__).resolve().parents[2] / "examples" / "pipeline.py"


@pytest.fixture
def pipeline() -> Any:
    return load_script(FILE)


@pytest.fixture
def source(api: Any, make: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "in"
    folder.mkdir()
    limits = {"h": (-40 / 39, 40 / 39), "k": (-40 / 39, 40 / 39), "e": (5.0, 35.0)}
    for name in ("a", "b"):
        make("hke", name=name, limits=limits, sizes={"h": 40, "k": 40, "e": 10})
        api.SaveMD(InputWorkspace=name, Filename=str(folder / f"{name}.nxs"))
    api.mtd.clear()
    return folder


def arguments(source: Any, target: Any, *more: Any) -> Any:
    return [str(source), str(target), "--model", "whole", *more]


def test_all_files(pipeline: Any, source: Any, tmp_path: Path, api: Any) -> None:
    target = tmp_path / "out"
    assert (
        pipeline.main(arguments(source, target, "--data-kind", "convolved", "--incident-energy", "50")) == 0
    )
    assert sorted(path.name for path in target.iterdir()) == [
        "a.nxs",
        "b.nxs",
        "pipeline.log",
        "verdicts.csv",
    ]
    with (target / "verdicts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["File"] for row in rows] == ["a.nxs", "b.nxs"]
    assert set(rows[0]) == {"File", "Prediction", "Certainty", "Dimer", "Goodenough"}
    before, after = (
        np.array(api.LoadMD(Filename=str(folder / "a.nxs"), OutputWorkspace="x").getSignalArray())
        for folder in (source, target)
    )
    assert before.shape == after.shape
    assert not np.array_equal(before, after)
    log = (target / "pipeline.log").read_text()
    assert "INFO 1 of 2: a.nxs" in log
    assert "0 of 2 files failed" in log


def test_a_second_run_leaves_out_what_is_done(pipeline: Any, source: Any, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert pipeline.main(arguments(source, target, "--incident-energy", "50")) == 0
    (target / "b.nxs").unlink()
    times = (target / "a.nxs").stat().st_mtime_ns
    assert pipeline.main(arguments(source, target, "--incident-energy", "50")) == 0
    assert (target / "a.nxs").stat().st_mtime_ns == times
    assert (target / "b.nxs").exists()
    assert "a.nxs is done already" in (target / "pipeline.log").read_text()


def test_a_bad_file_does_not_stop_the_others(pipeline: Any, source: Any, tmp_path: Path, api: Any) -> None:
    (source / "a.nxs").write_text("no file of SaveMD")
    target = tmp_path / "out"
    assert pipeline.main(arguments(source, target, "--incident-energy", "50")) == 1
    assert sorted(path.name for path in target.iterdir()) == ["b.nxs", "pipeline.log"]
    assert "ERROR a.nxs failed" in (target / "pipeline.log").read_text()
    assert list(api.mtd.getObjectNames()) == []


def test_nothing_to_start(
    pipeline: Any, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.main([str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert pipeline.main(arguments(source, tmp_path / "out", "--pattern", "*.dat")) == 2
    monkeypatch.setitem(__import__("sys").modules, "mantid", None)
    assert pipeline.main(arguments(source, tmp_path / "out")) == 2
    assert "Mantid comes from conda" in (tmp_path / "out" / "pipeline.log").read_text()


def test_an_interrupt(
    pipeline: Any, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "process", interrupted)
    assert pipeline.main(arguments(source, tmp_path / "out")) == 130
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pipeline.log"]
