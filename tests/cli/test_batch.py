"""Many files: bad ones stop nobody, what is done is not done again, nothing of somebody else is replaced."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Axis, Exp2SimError, Histogram, batch, load, mosaic, save
from mantid_exp2sim.cli import main
from mantid_exp2sim.cli.batch import whole_files
from mantid_exp2sim.storage.atomic import alive

CLASSICAL = ("--method", "richardson-lucy", "--instrument", "MERLIN", "--incident-energy", "24")
LATTICE = ("--lattice", "4.2", "4.2", "13.8")
SHARP = (*CLASSICAL, *LATTICE, "--no-uncertainty")


def volume(seed: int) -> Histogram:
    axes = [
        Axis("[H,0,0]", np.linspace(-1, 1, 7), "r.l.u.", "HKL"),
        Axis("[0,K,0]", np.linspace(-1, 1, 7), "r.l.u.", "HKL"),
        Axis("DeltaE", np.linspace(3, 12, 6), "meV"),
    ]
    values = np.random.default_rng(seed).gamma(2.0, 1.0, (6, 6, 5))
    return Histogram.from_arrays(values, axes, 0.1 * values)


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models_folder: Path) -> Path:
    """Four volumes, one that is damaged, in the folder ``in`` of the current one."""
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number in range(4):
        save(volume(number), f"in/{number}.nxs")
    Path("in/bad.nxs").write_bytes(Path("in/0.nxs").read_bytes()[:500])
    return tmp_path


def files() -> list[str]:
    return sorted(map(str, Path("in").glob("*.nxs")))


def rows(folder: str = "out") -> dict[str, dict[str, str]]:
    with (Path(folder) / "summary.csv").open(encoding="utf-8") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


def content(folder: str) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of results."""
    paths = [path for path in Path(folder).glob("*") if path.suffix in (".nxs", ".npz", ".json")]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_a_bad_file_stops_nobody_and_the_result_is_that_of_the_file_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["deconvolve", *files(), "--out-dir", "out", *SHARP]) == 1
    assert "4 done, 0 skipped, 1 failed" in capsys.readouterr().out
    table = rows()
    assert {name: row["status"] for name, row in table.items()} == {
        **{f"{number}.nxs": "done" for number in range(4)},
        "bad.nxs": "failed",
    }
    assert "cannot be read" in table["bad.nxs"]["error"]
    assert table["bad.nxs"]["fix"]
    assert not Path("out/bad.nxs").exists()
    assert main(["deconvolve", "in/2.nxs", "alone.nxs", *SHARP]) == 0
    np.testing.assert_array_equal(load("out/2.nxs").intensity, load("alone.nxs").intensity)


def test_a_second_run_does_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["deconvolve", *files(), "--out-dir", "out", *SHARP]
    assert main(command[:3] + command[6:]) == 0
    before = content("out")
    save(volume(9), "in/bad.nxs", overwrite=True)
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["done"], report["skipped"], report["failed"]) == (3, 2, 0)
    after = content("out")
    assert len(after) == 5
    assert {name: after[name] for name in before} == before


def test_what_others_made_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/1.nxs").write_text("somebody's")
    assert main(["deconvolve", *files()[:3], "--out-dir", "out", *SHARP]) == 1
    assert Path("out/1.nxs").read_text() == "somebody's"
    assert "is there already" in rows()["1.nxs"]["error"]
    before = content("out")
    assert main(["deconvolve", "in/0.nxs", "--out-dir", "out", *SHARP, "--background", "constant"]) == 1
    assert "by another model or with other options" in rows()["0.nxs"]["error"]
    assert content("out") == before
    assert main(["deconvolve", *files()[:3], "--out-dir", "out", *SHARP, "--overwrite"]) == 0
    assert load("out/1.nxs").shape == (6, 6, 5)


def test_an_input_that_changed_is_done_again() -> None:
    assert main(["deconvolve", "in/0.nxs", "--out-dir", "out", *SHARP]) == 0
    before = content("out")
    save(volume(7), "in/0.nxs", overwrite=True)
    assert main(["deconvolve", "in/0.nxs", "--out-dir", "out", *SHARP]) == 0
    assert content("out") != before


def test_results_never_take_the_place_of_inputs() -> None:
    before = content("in")
    Path("more").mkdir()
    save(volume(8), "more/0.nxs")
    assert main(["deconvolve", "in/0.nxs", "--out-dir", "in", *SHARP, "--overwrite"]) == 1
    assert main(["deconvolve", "in/0.nxs", "more/0.nxs", "--out-dir", "out", *SHARP]) == 1
    assert [path.name for path in Path("out").glob("*.nxs")] == ["0.nxs"]
    assert {name: data for name, data in content("in").items() if name in before} == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["deconvolve", "in/0.nxs"], "takes IN and OUT"),
        (["deconvolve", "in/0.nxs", "in/1.nxs", "in/2.nxs"], "--out-dir DIR for many files"),
        (["deconvolve", "--out-dir", "out"], "There are no files"),
        (["deconvolve", "in/0.nxs", "--out-dir", "out", "--plot", "a.png"], "--plot names one file"),
        (["deconvolve", "in/0.nxs", "--out-dir", "out", "--model", "no-such"], "There is no model"),
        (["deconvolve", "in/0.nxs", "--out-dir", "out", "--jobs", "0"], "number of jobs"),
        (["deconvolve", "--watch", "in"], "--watch needs a place"),
        (["deconvolve", "--watch", "nowhere", "--out-dir", "out"], "no folder nowhere"),
        (["check", "in/0.nxs", "in/1.nxs"], "takes IN"),
        (["deconvolve", "in/0.nxs", "--out-dir", "out", "--summary", "in/1.nxs"], "is there already"),
    ],
)
def test_wrong_commands_leave_nothing(
    room: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(room.rglob("*"))
    assert main(arguments) == 2
    assert text in capsys.readouterr().err
    assert sorted(room.rglob("*")) == before


def test_check_and_classify_write_what_they_say(
    picture: Histogram, capsys: pytest.CaptureFixture[str]
) -> None:
    save(picture, "in/mosaic.npz")
    for command, key in (("check", "verdict"), ("classify", "prediction")):
        assert main([command, "in/mosaic.npz", "--json", "--model", "tiny"]) == 0
        alone = json.loads(capsys.readouterr().out)
        folder = f"out-{command}"
        assert main([command, "in/mosaic.npz", "in/bad.nxs", "--out-dir", folder, "--model", "tiny"]) == 1
        capsys.readouterr()
        assert json.loads(Path(folder, "mosaic.json").read_text()) == alone
        assert rows(folder)["mosaic.npz"][key] == alone[key]


def test_files_of_one_measurement(picture: Histogram, capsys: pytest.CaptureFixture[str]) -> None:
    """A volume at each incident energy, in any order and with a logged energy, is the mosaic."""
    names = []
    for number, part in enumerate(mosaic.split(picture)[::-1]):
        logged = part.metadata["incident_energy"] * 1.0001
        names.append(f"{number}.npz")
        save(part.replace(metadata={**part.metadata, "incident_energy": logged}), names[-1])
    save(picture, "mosaic.npz")
    reports = []
    for inputs in (["mosaic.npz"], [*names, "--as-one"]):
        assert main(["classify", *inputs, "--model", "tiny", "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out)["correlations"])
    assert reports[0] == pytest.approx(reports[1], rel=1e-6)
    assert main(["deconvolve", *names, "one.npz", "--as-one", "--model", "tiny", "--no-uncertainty"]) == 0
    assert load("one.npz").shape == (240, 400)
    assert main(["classify", *names[:5], "--as-one", "--model", "tiny"]) == 2
    assert "One measurement is one volume at each of 25, 35, 50" in capsys.readouterr().err
    assert main(["deconvolve", *names, names[2], "--as-one", "--model", "tiny"]) == 2
    assert "are the same file" in capsys.readouterr().err


def test_python_does_the_same(room: Path) -> None:
    options: dict[str, Any] = {"method": "richardson-lucy", "instrument": "MERLIN", "incident_energy": 24.0}
    options |= {"lattice": (4.2, 4.2, 13.8), "uncertainty": False}
    outcomes = batch("deconvolve", files(), "out", **options)
    assert [outcome.status for outcome in outcomes] == 4 * ["done"] + ["failed"]
    assert batch("deconvolve", files()[:2], "out", **options)[1].status == "skipped"
    with pytest.raises(Exp2SimError, match="no command"):
        batch("plot", files(), "other")  # type: ignore[arg-type]
    assert not Path("other").exists()


def test_two_processes_and_a_kill_in_the_middle(room: Path) -> None:
    """Killed without a warning: whole files are left, no process, and the same command does the others."""
    for number in range(4, 16):
        save(volume(number), f"in/{number}.nxs")
    os.remove("in/bad.nxs")
    command = [
        sys.executable,
        "-m",
        "mantid_exp2sim",
        "deconvolve",
        *files(),
        "--out-dir",
        "out",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen([*command, *SHARP], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len(list(Path("out").glob("[0-9]*.nxs"))) < 7 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    while any(alive(int(path.name.split("-")[-3])) for path in Path("out").glob(".exp2sim*")):
        time.sleep(0.01)  # its workers end with it, and not at the same moment
    left = {path.name: load(path).shape for path in Path("out").glob("[0-9]*.nxs")}
    assert set(left.values()) == {(6, 6, 5)}
    assert main(["deconvolve", *files(), "--out-dir", "out", *SHARP]) == 0
    states = [row["status"] for row in rows().values()]
    assert len(states) == 16
    assert len(left) - 5 <= states.count("skipped") <= len(left)  # up to five were not told of yet
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".exp2sim")]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ctrl-C comes while a watch waits for the n-th time."""

    def after(times: int) -> None:
        waits = iter(range(times))

        def sleep(seconds: float) -> None:
            if next(waits, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setattr(whole_files, "__defaults__", (sleep,))

    return after


def test_a_watch_ends_cleanly(interrupted: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(2)
    watch = ["deconvolve", "--watch", "in", "--pattern", "[01]*.nxs", "--out-dir", "out", *SHARP, "--json"]
    assert main(watch) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["done"], report["failed"]) == (2, 0)


def test_a_watch_takes_whole_files_once(room: Path) -> None:
    found = whole_files(room / "in", "*", 0.0, sleep=lambda seconds: None)
    assert next(found) is None  # none is known to be whole yet
    first = [next(found) for _ in range(6)]
    assert [path.name for path in first if path] == ["0.nxs", "1.nxs", "2.nxs", "3.nxs", "bad.nxs"]
    growing = room / "in" / "new.npz"
    growing.write_bytes(b"a")
    assert next(found) is None
    growing.write_bytes(b"ab")
    assert next(found) is None
    assert next(found) == growing
    (room / "in" / "notes.txt").touch()
    assert [next(found) for _ in range(3)] == [None, None, None]
