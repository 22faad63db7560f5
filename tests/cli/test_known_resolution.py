"""`exp2sim deconvolve` and `convolve` with the known resolution."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.cli import main
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.io import load, save

WHERE = ["--instrument", "MERLIN", "--incident-energy", "30", "--lattice", "4", "4", "6"]


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A cut along h and energy as CutMD names it, without any instrument in it."""
    axes = [
        Axis("[H,H,0]", np.linspace(-1, 1, 25), unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", np.linspace(2, 20, 31), unit="meV", frame="General Frame"),
    ]
    h, energy = np.meshgrid(axes[0].centres, axes[1].centres, indexing="ij")
    values = 100 * np.exp(-0.5 * ((energy - 12 * np.abs(np.sin(np.pi * h)) - 2) / 0.9) ** 2) + 2
    save(Histogram.from_arrays(values, axes, 0.1 * values), tmp_path / "cut.nxs")
    return tmp_path / "cut.nxs"


def test_it_needs_no_torch(cut: Path) -> None:
    """In a process of its own, which says what was imported."""
    code = (
        "import sys; from mantid_exp2sim.cli import main; "
        "status = main(sys.argv[1:]); print('torch' in sys.modules); sys.exit(status)"
    )
    command = ["deconvolve", str(cut), str(cut.with_name("out.nxs")), "--method", "richardson-lucy", *WHERE]
    result = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "False"


def test_it_says_what_was_taken_from_where(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cut.with_name("out.npz")
    assert main(["deconvolve", str(cut), str(out), "--method", "richardson-lucy", *WHERE]) == 0
    text = capsys.readouterr().out
    assert "MERLIN (given); Ei 30 meV (given)" in text
    assert "noise from errors of the data" in text
    before, after = load(cut), load(out)
    assert after.intensity.max() > 1.1 * before.intensity.max()
    assert np.nansum(after.intensity) == pytest.approx(np.nansum(before.intensity), rel=0.02)
    assert after.metadata["history"][-1]["options"]["seed"] == 0


def test_there_and_back_as_json(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sharp, again = cut.with_name("sharp.nxs"), cut.with_name("again.nxs")
    options = ["--json", *WHERE, "--method"]
    assert main(["deconvolve", str(cut), str(sharp), *options, "richardson-lucy", "--no-uncertainty"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["method"], said["uncertainty"], said["shape"]) == ("richardson-lucy", False, [24, 30])
    assert main(["convolve", str(sharp), str(again), *options, "resolution"]) == 0
    assert json.loads(capsys.readouterr().out)["history"]["options"]["instrument"] == "MERLIN"
    one, other = load(cut).intensity, load(again).intensity
    assert np.linalg.norm(one - other) < 0.1 * np.linalg.norm(one)


def test_without_a_method_the_network_for_any_material_is_taken_and_said(
    cut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = cut.with_name("out.nxs")
    assert main(["deconvolve", str(cut), str(out), *WHERE]) == 0
    said = capsys.readouterr()
    assert "note: chopper-any, not the network: the model does not take the data" in said.err
    assert "deconvolved by chopper-any with errors" in said.out
    assert "the network (noise from errors of the data)" in said.out
    assert load(out).intensity.max() > 1.1 * load(cut).intensity.max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "richardson-lucy", *WHERE[2:]], "Give --instrument"),
        (["--method", "richardson-lucy", *WHERE[:2]], "Give --incident-energy"),
        (["--method", "richardson-lucy", *WHERE[:4]], "Give --lattice"),
        (["--method", "richardson-lucy", *WHERE[:6], "4"], "Give a, b and c"),
        (["--method", "richardson-lucy", *WHERE, "--uncertainty-out", "parts.npz"], "no parts to write"),
    ],
)
def test_what_is_missing_is_asked_for_and_nothing_is_written(
    cut: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = cut.with_name("out.nxs")
    assert main(["deconvolve", str(cut), str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_what_is_taken_out_is_written_and_told(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, removed, residual = (cut.with_name(name) for name in ("out.npz", "removed.nxs", "residual.npz"))
    options = [
        "--method",
        "richardson-lucy",
        *WHERE,
        "--background",
        "constant",
        "--no-uncertainty",
        "--json",
    ]
    files = ["--removed", str(removed), "--residual", str(residual)]
    assert main(["deconvolve", str(cut), str(out), *options, *files]) == 0
    said = json.loads(capsys.readouterr().out)
    before = load(cut).intensity
    background = load(removed).intensity
    assert np.ptp(background) < 1e-4
    share = said["intensity_lost"]["total"]
    assert share == pytest.approx(background.sum() / before.sum(), abs=0.02)
    assert said["intensity_lost"]["warnings"] == [] or share > 0.1
    assert (said["removed"], said["put_back_through"]) == (str(removed), "the known resolution")
    seen = cut.with_name("seen.npz")
    assert main(["convolve", str(out), str(seen), "--method", "resolution", *WHERE]) == 0
    total = load(seen).intensity + background + load(residual).intensity
    np.testing.assert_allclose(total, before, rtol=1e-4, atol=1e-4)
    capsys.readouterr()
    assert main(["deconvolve", str(cut), str(out), *options, "--keep-background", "--overwrite"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["background_kept"] is True
    assert abs(said["intensity_lost"]["total"]) < 0.02


def test_parts_need_names_of_their_own(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cut.with_name("out.npz")
    for option, name in (("--removed", str(out)), ("--residual", str(cut)), ("--removed", "removed.doc")):
        assert main(["deconvolve", str(cut), str(out), option, name]) == 2
    assert "no name of a spectrum" in capsys.readouterr().err
    assert not out.exists()
