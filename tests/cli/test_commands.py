"""The commands: files in, files out, one JSON object, and nothing written after an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import load, mosaic, save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.cli import main
from mantid_exp2sim.histogram import Histogram


@pytest.fixture(autouse=True)
def _models(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Histogram) -> Path:
    """A folder with a measurement in each format; the current one."""
    monkeypatch.chdir(tmp_path)
    save(picture, "in.npz")
    np.save("in.npy", np.nan_to_num(picture.intensity))
    np.save("mask.npy", picture.mask)
    save(mosaic.split(picture)[2], "volume.npz")
    save(mosaic.split(picture)[2], "volume.nxs")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a command that succeeds, with --json: exactly one object on stdout."""

    def command(*arguments: str) -> dict[str, Any]:
        status = main([*arguments, "--json"])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        found = json.loads(captured.out)
        assert isinstance(found, dict)
        return found

    return command


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("command", ["deconvolve", "convolve"])
def test_translate(
    room: Path, run: Callable[..., Any], command: str, model: Model, picture: Histogram
) -> None:
    report = run(command, "in.npz", "out.npz", "--model", "tiny", "--seed", "3", "--replicas", "2")
    result = load("out.npz")
    wanted = getattr(model, command)(picture, seed=3, replicas=2)
    np.testing.assert_array_equal(result.intensity, wanted.intensity)
    np.testing.assert_array_equal(result.variance, wanted.variance)
    assert result.metadata["history"][-1]["command"] == command
    assert report["history"]["checksum"] == model.checksum
    assert report["measured_bins"] == int((~picture.mask).sum())


def test_published_array_with_mask_and_nexus(
    room: Path, run: Callable[..., Any], model: Model, picture: Histogram, volume: Histogram
) -> None:
    report = run("deconvolve", "in.npy", "out.npy", "--mask", "mask.npy", "--model", "tiny")
    assert report["uncertainty"] is False
    np.testing.assert_array_equal(np.isnan(np.load("out.npy")).reshape(240, 400), picture.mask)
    run("deconvolve", "volume.nxs", "out.nxs", "--model", "tiny", "--incident-energy", "50")
    np.testing.assert_allclose(load("out.nxs").intensity, model.deconvolve(volume).intensity)


def test_in_place(room: Path, run: Callable[..., Any], model: Model, picture: Histogram) -> None:
    before = _files(room)
    assert main(["deconvolve", "in.npz", "in.npz", "--model", "tiny", "--no-uncertainty"]) == 2
    assert _files(room) == before
    run("deconvolve", "in.npz", "in.npz", "--model", "tiny", "--no-uncertainty", "--overwrite")
    np.testing.assert_array_equal(
        load("in.npz").intensity, model.deconvolve(picture, uncertainty=False).intensity
    )


@pytest.mark.parametrize(
    "places",
    [
        ("out.npz", "--uncertainty-out", "out.npz"),
        ("out.npz", "--uncertainty-out", "../room/in.npz"),
        ("mask.npy",),
        ("out.npz", "--uncertainty-out", "errors.npz", "--no-uncertainty"),
    ],
)
def test_no_output_takes_the_place_of_another_file(
    room: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = _files(room)
    arguments = [place.replace("../room", f"../{room.name}") for place in places]
    assert main(["deconvolve", "in.npz", *arguments, "--mask", "mask.npy", "--model", "tiny"]) == 2
    assert "error: " in capsys.readouterr().err
    assert main(["explain", "in.npz", "--out", "in.npz", "--model", "tiny"]) == 2
    assert _files(room) == before


def test_plot(room: Path, run: Callable[..., Any]) -> None:
    run("deconvolve", "in.npz", "out.npz", "--model", "tiny", "--plot", "out.png", "--no-uncertainty")
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_classify(room: Path, run: Callable[..., Any], model: Model, picture: Histogram) -> None:
    found = run("classify", "in.npz", "--model", "tiny")
    assert found["correlations"] == pytest.approx(model.classify(picture).correlations)
    assert found["prediction"] == max(found["correlations"], key=found["correlations"].get)
    assert run("classify", "in.npz", "--model", "tiny", "--deconvolve")["deconvolved"] is True
    assert (
        run("classify", "volume.npz", "--model", "tiny", "--data-kind", "convolved")["prediction"] == "none"
    )


def test_models(
    room: Path, run: Callable[..., Any], models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    found = {row["name"]: row for row in run("models")["models"]}
    assert found["tiny"]["usable"]
    assert found["tiny"]["classes"] == ["Dimer", "Goodenough"]
    shutil.copytree(models_folder / "tiny", tmp_path / "own" / "broken")
    (tmp_path / "own" / "broken" / "convolve.safetensors").write_bytes(b"")
    monkeypatch.setenv("EXP2SIM_MODELS", str(tmp_path / "own"))
    found = {row["name"]: row for row in run("models", "list")["models"]}
    assert not found["broken"]["usable"]
    assert "damaged" in found["broken"]["error"]


def test_words_for_people(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "in.npz", "--model", "tiny"]) == 0
    assert "Goodenough" in capsys.readouterr().out
    assert main(["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--no-uncertainty"]) == 0
    assert "total intensity" in capsys.readouterr().out
    assert main(["deconvolve", "in.npz", "out.npy", "--model", "tiny"]) == 0
    assert "out.npy.json: its history" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "tiny" in capsys.readouterr().out


def _damaged_model(room: Path) -> None:
    import shutil

    from mantid_exp2sim import list_models

    shutil.copytree(list_models()["tiny"], room / "damaged")
    (room / "damaged" / "deconvolve.safetensors").write_bytes(b"x" * 100)


BAD_DATA = [
    "wrong-shape.npy",
    "all-masked.npy",
    "corrupt.npz",
    "corrupt.nxs",
    "empty.npz",
    "missing.npy",
    "text.npy",
]


def _bad_data(room: Path) -> None:
    np.save("wrong-shape.npy", np.ones((3, 7)))
    np.save("all-masked.npy", np.full((240, 400), np.nan))
    Path("corrupt.npz").write_bytes(Path("in.npz").read_bytes()[:200])
    Path("corrupt.nxs").write_bytes(Path("volume.nxs").read_bytes()[:600])
    Path("empty.npz").write_bytes(b"")
    Path("text.npy").write_text("not an array")


@pytest.mark.parametrize("name", BAD_DATA)
@pytest.mark.parametrize("command", ["deconvolve", "convolve", "classify"])
def test_bad_data(room: Path, capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    _bad_data(room)
    _refused(
        room, capsys, [command, name, *(["out.npz"] if command != "classify" else []), "--model", "tiny"]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["deconvolve", "in.npz", "out.npz", "--model", "no-such-model"],
        ["deconvolve", "in.npz", "out.npz", "--model", ""],
        ["deconvolve", "in.npz", "out.npz", "--model", "damaged"],
        ["deconvolve", "in.npz", "out.npz", "--model", "in.npz"],
        ["deconvolve", "in.npz", "out.txt", "--model", "tiny"],
        ["deconvolve", "in.npz", "nowhere/out.npz", "--model", "tiny"],
        ["deconvolve", "in.npz", ".", "--model", "tiny"],
        ["deconvolve", "in.npz", "out.nxs", "--model", "tiny", "--plot", "out.png"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--plot", "out.doc"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--plot", "nowhere/out.png"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--tile", "0"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--tile", "15"],
        ["classify", "in.npz", "--model", "tiny", "--tile", "7"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--seed", "-1"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--replicas", "1"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--scale", "0"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--mask", "missing.npy"],
        ["deconvolve", "in.npz", "out.npz", "--model", "tiny", "--mask", "in.npz"],
        ["deconvolve", "in.npy", "out.npz", "--model", "tiny", "--index", "a"],
        ["deconvolve", "volume.npz", "out.npz", "--model", "tiny", "--incident-energy", "300"],
        ["convolve", "volume.npz", "out.npz", "--model", "tiny-slices", "--tile", "-4"],
        ["classify", "in.npz", "--model", "no-such-model"],
        ["classify", "in.npz", "--model", "tiny-3d"],
        ["classify", "volume.npz", "--model", "tiny"],
        ["classify", "in.npz", "--model", "tiny", "--data-kind", "convolved", "--deconvolve"],
    ],
)
def test_bad_arguments(room: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    _damaged_model(room)
    _refused(room, capsys, arguments)


def _refused(room: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    before = _files(room)
    assert main([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert set(json.loads(captured.out)) == {"error", "reason", "fix"}
    assert len(captured.err.strip()) > 20
    assert "Traceback" not in captured.err
    assert _files(room) == before


def test_cancelled_in_place_leaves_the_file_as_it_was(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mantid_exp2sim.networks.generator import Generator

    before = _files(room)
    real, passes = Generator.infer, iter(range(6))

    def stop(self: Generator, *arguments: Any) -> Any:
        if next(passes) == 5:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Generator, "infer", stop)
    assert main(["deconvolve", "in.npz", "in.npz", "--model", "tiny", "--overwrite"]) == 130
    assert _files(room) == before


@pytest.mark.parametrize("command", ["deconvolve", "convolve", "classify", "models", "demo"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"exp2sim {command}" in capsys.readouterr().out.split("examples:")[1]


def test_demo(tmp_path: Path, run: Callable[..., Any]) -> None:
    report = run("demo", "--out", str(tmp_path / "demo"), "--model", "tiny")
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == [
        "deconvolved.npz",
        "demo.png",
        "measured.npz",
    ]
    assert report["relative_l2_before"] > 0
    assert set(report["correlations_after"]) == {"Dimer", "Goodenough"}
