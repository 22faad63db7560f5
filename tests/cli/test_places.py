"""What a command may write over: nothing, unless it is told to; and it says so before its work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Exp2SimError, load, save
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.cli import main
from mantid_exp2sim.histogram import Histogram


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models_folder: Path, picture: Histogram) -> Path:
    """A mosaic in the current folder, and files of somebody else."""
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))
    monkeypatch.chdir(tmp_path)
    save(picture, "in.npz")
    for name in ("out.npz", "out.png", "parts.npz", "out.npy", "out.npy.json", "model.zip"):
        Path(name).write_text("somebody's")
    return tmp_path


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network or a simulation that runs is an error of the test."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("mantid_exp2sim.application.model.translate", run)
    monkeypatch.setattr("mantid_exp2sim.application.model.explain", run)
    monkeypatch.setattr("mantid_exp2sim.simulation.measurement.simulate", run)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


TINY = ("--model", "tiny")


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("deconvolve", "in.npz", "out.npz", *TINY), "out.npz is there already"),
        (("convolve", "in.npz", "out.npz", *TINY), "out.npz is there already"),
        (("deconvolve", "in.npz", "in.npz", *TINY), "OUT and IN are the same file"),
        (("deconvolve", "in.npz", "new.npz", "--plot", "out.png", *TINY), "out.png is there already"),
        (
            ("deconvolve", "in.npz", "new.npz", "--uncertainty-out", "parts.npz", *TINY),
            "parts.npz is there already",
        ),
        (("deconvolve", "in.npz", "new.npz", "--removed", "out.npz", *TINY), "out.npz is there already"),
        (("deconvolve", "in.npz", "new.npz", "--residual", "out.npz", *TINY), "out.npz is there already"),
        (("deconvolve", "in.npz", "new.npz", "--removed", "new.nxs", *TINY), "A mosaic cannot be written"),
        (("deconvolve", "in.npz", "new.npz", "--residual", "new.d2d", *TINY), "A mosaic cannot be written"),
        (("deconvolve", "in.npz", "new.nxs", *TINY), "A mosaic cannot be written"),
        (("deconvolve", "in.npz", "out.npy", *TINY), "out.npy is there already"),
        (("explain", "in.npz", "--out", "new.nxs", *TINY), "A mosaic cannot be written"),
        (("explain", "in.npz", "--out", "out.npz", *TINY), "out.npz is there already"),
        (("check", "in.npz", "--plot", "out.png", *TINY), "out.png is there already"),
        (("plot", "in.npz", "out.png"), "out.png is there already"),
        (("rebin", "in.npz", "in.npz", "--axis", "energy:2"), "OUT and IN are the same file"),
        (("resolution", "MAPS", "--incident-energy", "70", "--plot", "out.png"), "out.png is there already"),
        (("simulate", "spectrum", "out.npz"), "out.npz is there already"),
        (("simulate", "spectrum", "new.nxs"), "A mosaic cannot be written"),
        (("simulate", "spectrum", "new.npy", "--incident-energy", "70"), "A volume cannot be written"),
        (("models", "pack", "tiny", "model.zip"), "model.zip is there already"),
        (("demo", "--out", "."), "holds other files"),
        (("fit", "in.npz", "--model", "Dimer", "--out", "."), "holds other files"),
    ],
)
def test_nothing_is_replaced_unasked(
    room: Path, arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _content(room)
    assert main(arguments) == 2
    assert text in capsys.readouterr().err
    assert _content(room) == before


def test_overwrite_replaces_what_is_there(room: Path) -> None:
    options = ("--plot", "out.png", "--removed", "parts.npz", "--overwrite", "--no-uncertainty")
    assert main(["deconvolve", "in.npz", "out.npz", *TINY, *options]) == 0
    assert load("out.npz").shape == (240, 400)
    assert load("parts.npz").shape == (240, 400)
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = room / "closed"
    folder.mkdir(mode=0o555)
    assert main(["deconvolve", "in.npz", "closed/out.npz", *TINY]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_save_replaces_nothing_unless_told(room: Path, picture: Histogram) -> None:
    with pytest.raises(Exp2SimError, match="is there already") as error:
        save(picture, "out.npz")
    assert "overwrite=True" in error.value.fix
    save(picture, "out.npz", overwrite=True)
    np.testing.assert_array_equal(load("out.npz").intensity, picture.intensity)


def test_a_picture_keeps_its_history(room: Path, model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deconvolve", "in.npz", "sharp.npy", *TINY]) == 0
    step = load("sharp.npy").metadata["history"][-1]
    assert (step["command"], step["checksum"]) == ("deconvolve", model.checksum)
    capsys.readouterr()
    assert main(["classify", "sharp.npy", *TINY]) == 0
    assert "trained on integrated data" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: np.save("sharp.npy", np.ones((240, 400))),
        lambda: Path("sharp.npy.json").write_text("[" * 100_000),
        lambda: Path("sharp.npy.json").write_text('{"sha256": "0", "metadata": {"history": []}}'),
        lambda: Path("sharp.npy.json").unlink(),
    ],
    ids=["another picture", "damaged", "of another picture", "gone"],
)
def test_a_history_of_another_picture_does_not_count(
    room: Path, picture: Histogram, spoil: Callable[[], Any]
) -> None:
    marked = picture.replace(metadata={**picture.metadata, "history": [{"command": "deconvolve"}]})
    save(marked, "sharp.npy")
    assert load("sharp.npy").metadata["history"] == [{"command": "deconvolve"}]
    spoil()
    assert "history" not in load("sharp.npy").metadata
