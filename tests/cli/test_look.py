from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import mantid_exp2sim.cli
from mantid_exp2sim import Axis, Cancelled, Histogram, save
from mantid_exp2sim.cli import main
from mantid_exp2sim.cli.output import plain
from mantid_exp2sim.mosaic import SHAPE, mosaic_histogram


@pytest.fixture
def files(tmp_path, monkeypatch):
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


def only_json(capsys):
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_plot(files, capsys):
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


def test_info_of_files(files, capsys):
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
def test_bad_input(files, capsys, command, name):
    before = sorted(files.iterdir())
    assert main([command, name, *(["out.png"] if command == "plot" else [])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    assert sorted(files.iterdir()) == before


def test_errors_as_json(files, capsys):
    assert main(["plot", "wrong.npy", "out.png", "--json"]) == 2
    assert set(only_json(capsys)) == {"error", "why", "way_out"}


def test_bad_options(files):
    assert main(["plot", "mosaic.npy", "out.txt"]) == 2
    assert main(["plot", "two.npy", "out.png", "--index", "a"]) == 2
    assert main(["plot", "mosaic.npy", "none/out.png"]) == 2
    assert main(["plot", "mosaic.npy", "out.png", "--beside", "line.nxs"]) == 2
    assert main(["plot"]) == 2
    assert main(["nonsense"]) == 2
    assert main([]) == 2
    assert not list(files.glob("*.png"))


@pytest.mark.parametrize("command", ["plot", "info", "deconvolve", "convolve", "classify", "models", "demo"])
def test_help_has_examples(capsys, command):
    assert main([command, "--help"]) == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(KeyboardInterrupt, 130), (Cancelled, 130), (MemoryError, 2), (PermissionError(13, "no", "file"), 2)],
)
def test_exit_status(monkeypatch, capsys, trouble, status):
    def broken(args):
        raise trouble

    monkeypatch.setattr("mantid_exp2sim.cli.look._info", broken)
    assert main(["info", "x"]) == status


def test_a_broken_add_on_leaves_the_rest(monkeypatch, capsys):
    broken = EntryPoint("broken", "no_such_module:register", mantid_exp2sim.cli.GROUP)
    monkeypatch.setattr(mantid_exp2sim.cli, "entry_points", lambda group: [broken])
    assert main(["--version"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("exp2sim ")
    assert "no_such_module" in printed.err


def test_as_a_program(files):
    done = subprocess.run(
        [sys.executable, "-m", "mantid_exp2sim", "info", "none.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_plain_json():
    value = {"a": np.float64("nan"), 1: (np.int64(2), np.array([True])), "p": mosaic_histogram}
    assert plain(value)["a"] is None
    assert plain(value)["1"] == [2, [True]]
    assert isinstance(plain(value)["p"], str)
