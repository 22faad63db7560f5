from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mantid_exp2sim.cli
from mantid_exp2sim import Axis, Cancelled, Histogram, save
from mantid_exp2sim.cli import main
from mantid_exp2sim.cli.output import plain
from mantid_exp2sim.mosaic import SHAPE


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    np.save("mosaic.npy", np.ones((1, *SHAPE)))
    np.save("two.npy", np.ones((2, *SHAPE)))
    np.save("wrong.npy", np.ones((3, 4)))
    np.save("gaps.npy", np.full(SHAPE, np.nan))
    np.save("mask.npy", np.zeros(SHAPE, dtype=bool))
    axis = Axis("DeltaE", np.arange(4.0), unit="meV", frame="General Frame")
    save(Histogram.from_arrays(np.ones(3), [axis], np.ones(3)), "line.nxs")
    (tmp_path / "damaged.nxs").write_bytes((tmp_path / "line.nxs").read_bytes()[:700])
    return tmp_path


def only_json(capsys: Any) -> Any:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_plot(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "mosaic.npy"]) == 0
    assert (files / "mosaic.png").exists()
    assert main(["plot", "line.nxs", "x.pdf", "--title", "T", "--vmax", "2", "--json"]) == 0
    assert capsys.readouterr().out.startswith("mosaic.png: drawn\n")
    assert (files / "x.pdf").read_bytes().startswith(b"%PDF")
    assert main(["plot", "mosaic.npy", "y.png", "--beside", "mosaic.npy", "--json"]) == 0
    assert only_json(capsys) == {
        "input": "mosaic.npy",
        "beside": ["mosaic.npy"],
        "output": "y.png",
        "shape": [240, 400],
    }


def test_info_of_files(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "line.nxs", "--json"]) == 0
    about = only_json(capsys)
    assert about["shape"] == [3]
    assert about["axes"][0]["measures"] == "energy"
    assert about["has_errors"] is True
    assert main(["info", "mosaic.npy", "--mask", "mask.npy", "--json"]) == 0
    assert only_json(capsys)["measured_bins"] == 96000
    assert main(["info", "two.npy", "--index", "1"]) == 0
    assert "mosaic" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["two.npy", "wrong.npy", "gaps.npy", "damaged.nxs", "none.npy", "."])
@pytest.mark.parametrize("command", ["plot", "info"])
def test_bad_input(files: Any, capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    before = sorted(files.iterdir())
    assert main([command, name, *(["out.png"] if command == "plot" else [])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    assert sorted(files.iterdir()) == before


def test_errors_as_json(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "wrong.npy", "out.png", "--json"]) == 2
    assert set(only_json(capsys)) == {"error", "reason", "fix"}


def test_bad_options(files: Any) -> None:
    assert main(["plot", "mosaic.npy", "out.txt"]) == 2
    assert main(["plot", "two.npy", "out.png", "--index", "a"]) == 2
    assert main(["plot", "mosaic.npy", "none/out.png"]) == 2
    assert main(["plot", "mosaic.npy", "out.png", "--beside", "line.nxs"]) == 2
    assert main(["plot"]) == 2
    assert main(["nonsense"]) == 2
    assert main([]) == 2
    assert not list(files.glob("*.png"))


@pytest.mark.parametrize("command", ["plot", "info", "deconvolve", "convolve", "classify", "models", "demo"])
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(KeyboardInterrupt, 130), (Cancelled, 130), (MemoryError, 2), (PermissionError(13, "no", "file"), 2)],
)
def test_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Any, status: int) -> None:
    def broken(*arguments: Any) -> None:
        raise trouble

    monkeypatch.setattr("mantid_exp2sim.cli.look.read", broken)
    (tmp_path / "x").touch()
    assert main(["info", str(tmp_path / "x")]) == status


def test_a_broken_add_on_leaves_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("broken", "no_such_module:register", mantid_exp2sim.cli.GROUP)
    monkeypatch.setattr(mantid_exp2sim.cli, "entry_points", lambda group: [broken])
    assert main(["--version"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("exp2sim ")
    assert "no_such_module" in printed.err


def as_a_program(*arguments: Any, stdout: Any = subprocess.PIPE, **variables: Any) -> Any:
    environment = {**os.environ, **variables}
    environment.pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-m", "mantid_exp2sim", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environment, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_encoding_of_stdout(files: Any, encoding: str) -> None:
    axis = Axis("DeltaE", np.arange(4.0), unit="meV", frame="General Frame")
    minus = Histogram.from_arrays(np.ones(3), [axis], metadata={"title": "log K \u2212 log K \u00d7"})
    save(minus, "minus.npz")
    done = as_a_program("info", "minus.npz", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert b"log K ? log K" in done.stdout
    assert done.stderr == b""
    kept = as_a_program("info", "minus.npz", PYTHONIOENCODING=f"{encoding}:backslashreplace")
    assert b"log K \\u2212 log K" in kept.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info", "line.nxs", "--json"], ["info", "line.nxs"], ["--help"]])
def test_a_full_stdout(files: Any, arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = as_a_program(*arguments, stdout=full)
    assert done.returncode == 2
    assert b"cannot be printed: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_info_of_values_near_the_largest_number(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    axis = Axis("DeltaE", np.arange(5.0), unit="meV", frame="General Frame")
    save(Histogram.from_arrays([1.7e308, 1.7e308, 1.7e308, -1.7e308], [axis]), "huge.npz")
    assert main(["info", "huge.npz", "--json"]) == 0
    about = only_json(capsys)
    assert about["mean"] == pytest.approx(0.85e308)
    assert about["total"] is None  # larger than any number


def test_other_axes_and_scales_are_refused(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    axis = Axis("[H,0,0]", np.arange(4.0), unit="r.l.u.", frame="HKL")
    save(Histogram.from_arrays(np.ones(3), [axis]), "h.nxs")
    for arguments, why in (
        (["--beside", "h.nxs"], "line.nxs: energy (meV); h.nxs: h (r.l.u.). Draw each one alone"),
        (["--vmax", "nan"], "is nan. It takes a positive number."),
        (["--vmax", "-5"], "is -5. It takes a positive number."),
    ):
        assert main(["plot", "line.nxs", "out.png", *arguments]) == 2
        assert why in capsys.readouterr().err.replace("\n", " ")
    assert not (files / "out.png").exists()


def test_a_way_out_of_a_wrong_name(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "none.nxs", "out.png"]) == 2
    assert "Check its name and folder." in capsys.readouterr().err


@pytest.mark.parametrize("action", ["list", "add", "remove", "pack"])
def test_help_of_actions_has_examples(capsys: pytest.CaptureFixture[str], action: str) -> None:
    assert main(["models", action, "--help"]) == 0
    assert f"exp2sim models {action}" in capsys.readouterr().out.split("examples:")[1]


def test_memory_that_ran_out_blames_an_option_that_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: Any) -> None:
        raise MemoryError

    (tmp_path / "x").touch()
    monkeypatch.setattr("mantid_exp2sim.cli.look.read", broken)
    assert main(["info", str(tmp_path / "x")]) == 2
    assert "--tile" not in capsys.readouterr().err
    monkeypatch.setattr("mantid_exp2sim.application.model.load_model", broken)
    assert main(["classify", "x"]) == 2
    assert "--tile" in capsys.readouterr().err


def test_as_a_program(files: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mantid_exp2sim", "info", "none.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_plain_json() -> None:
    value = {"a": np.float64("nan"), 1: (np.int64(2), np.array([True])), "p": Path("a")}
    assert plain(value)["a"] is None
    assert plain(value)["1"] == [2, [True]]
    assert plain(value)["p"] == "a"


def test_plot_views(files: Any) -> None:
    axes = [
        Axis("[H,0,0]", np.arange(4.0), unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", np.arange(5.0), "meV"),
    ]
    intensity = np.arange(1.0, 13.0).reshape(3, 4)
    save(Histogram.from_arrays(intensity, axes, intensity), "map.npz")
    for number, options in enumerate(
        (
            ["--difference", "map.npz"],
            ["--ratio", "map.npz", "--slice", "h:0,2"],
            ["--errors", "--beside", "map.npz"],
            ["--cut", "energy", "--slice", "h:0,1", "--log", "--vmin", "0.1", "--vmax", "9"],
        )
    ):
        assert main(["plot", "map.npz", f"{number}.png", *options]) == 0
        assert (files / f"{number}.png").read_bytes().startswith(b"\x89PNG")
    for wrong in (
        ["--slice", "l:0,1"],
        ["--cut", "k"],
        ["--difference", "line.nxs"],
        ["--errors", "--vmax", "-1"],
    ):
        assert main(["plot", "map.npz", "wrong.png", *wrong]) == 2
    assert main(["plot", "map.npz", "wrong.png", "--difference", "map.npz", "--ratio", "map.npz"]) == 2
    assert not (files / "wrong.png").exists()
