from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import Axis, Histogram, load, save
from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import AxisError
from mantid_exp2sim.inference.volumes import open_volumes
from mantid_exp2sim.model.card import AcceptedAxis, Card
from mantid_exp2sim.mosaic import mosaic_histogram

AXES = (
    Axis("[H,0,0]", np.linspace(-1.0, 1.0, 9), unit="r.l.u.", frame="HKL"),
    Axis("[0,K,0]", np.linspace(-1.0, 1.0, 5), unit="r.l.u.", frame="HKL"),
    Axis("DeltaE", np.arange(13.0), unit="meV", frame="General Frame"),
)


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Histogram:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(4, 1, (8, 4, 12))
    values[0] = np.nan
    histogram = Histogram.from_arrays(values, AXES, np.ones(values.shape), metadata={"incident_energy": 20.0})
    save(histogram, "in.nxs")
    save(mosaic_histogram(np.ones((240, 400))), "mosaic.npz")
    return histogram


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_rebin(volume: Histogram, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["rebin", "in.nxs", "out.npz", "--axis", "energy:3", "--axis", "[H,0,0]:-1,0.5,1", "--json"])
        == 0
    )
    report = said(capsys)
    assert report["shape"] == [4, 4, 4]
    assert report["axes"][2] == {"name": "DeltaE", "unit": "meV", "bins": 4, "from": 0.0, "to": 12.0}
    assert report["history"]["command"] == "rebin"
    result = load("out.npz")
    assert report["measured_bins"] == (~result.mask).sum() == 64
    mean = volume.intensity[2:].reshape(3, 2, 4, 4, 3).mean(axis=(1, 4))
    np.testing.assert_allclose(result.intensity[1:], mean)
    np.testing.assert_allclose(result.variance[1:], 1 / 6)
    np.testing.assert_allclose(result.variance[0], 1 / 3)  # of the measured half
    assert result.metadata["incident_energy"] == 20.0


def test_hardly_measured_bins_are_masked_on_request(volume: Histogram) -> None:
    assert main(["rebin", "in.nxs", "out.npz", "--axis", "h:0.5", "--minimum-measured", "0.9"]) == 0
    assert load("out.npz").mask.sum() == 4 * 12


def test_cut(volume: Histogram, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cut", "in.nxs", "out.nxs", "--axis", "k:-0.5,0.5", "--axis", "energy:3,inf"]) == 0
    assert "8 [H,0,0]" in capsys.readouterr().out
    result = load("out.nxs")
    np.testing.assert_allclose(result.intensity[1:], volume.intensity[1:, 1:3, 3:].mean(axis=(1, 2)))
    assert result.mask.tolist() == [True] + 7 * [False]
    assert result.metadata["integrated"][1] == {"axis": "DeltaE", "range": [3.0, 12.0]}


def test_cut_that_keeps_the_bins(volume: Histogram, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cut", "in.nxs", "out.nxs", "--axis", "DeltaE:3,9", "--keep", "--json"]) == 0
    assert said(capsys)["integrated"] == []
    result = load("out.nxs")
    np.testing.assert_allclose(result.intensity, volume.intensity[:, :, 3:9])
    np.testing.assert_allclose(result.variance, volume.variance[:, :, 3:9])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rebin", "in.nxs", "out.nxs", "--axis", "energy:0.5"], "finer"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "energy"], "cannot be read"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "energy:a"], "cannot be read"),
        (["rebin", "in.nxs", "out.nxs", "--axis", ":2"], "no axis"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "l:2"], "'DeltaE'"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "h:0.5", "--axis", "h:1"], "twice"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "energy:1,2"], "LOW,WIDTH,HIGH"),
        (["rebin", "in.nxs", "out.nxs", "--axis", "energy:2", "--minimum-measured", "2"], "share"),
        (["rebin", "in.nxs", "out.doc", "--axis", "energy:2"], "out.doc"),
        (["rebin", "mosaic.npz", "out.npz", "--axis", "row:2"], "mosaic"),
        (["cut", "in.nxs", "out.nxs", "--axis", "energy:2"], "LOW,HIGH"),
        (["cut", "in.nxs", "out.nxs", "--axis", "energy:20,30"], "from 20 to 30"),
        (["cut", "in.nxs", "out.nxs", "--axis", "h:-1,-0.8", "--keep"], "No bin"),
        (["cut", "in.nxs", "no/out.nxs", "--axis", "energy:2,3"], "does not exist"),
        (["cut", "in.nxs", "mask.npy", "--axis", "energy:2,3", "--mask", "mask.npy"], "same file"),
    ],
)
def test_errors_write_nothing(
    volume: Histogram, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("in.nxs").read_bytes()
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert text in printed.err
    assert json.loads(printed.out)["fix"]
    assert Path("in.nxs").read_bytes() == before
    assert not list(Path().glob("out.*"))


@pytest.mark.parametrize("command", ["rebin", "cut"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"exp2sim {command} " in capsys.readouterr().out.split("examples:")[1]


def test_the_command_is_named_where_bins_are_refused_and_helps(volume: Histogram) -> None:
    edges = (0.0, 3.0, 6.0, 9.0, 12.0)
    rules = (
        AcceptedAxis(kind="h", width=0.5),
        AcceptedAxis(kind="k", width=0.5),
        AcceptedAxis(kind="energy", width=3.0, edges=edges),
    )
    content = {
        "name": "x",
        "scaling": {},
        "layout": {"windows": 4},
        "axes": rules,
        "incident_energies": (20.0,),
    }
    card = Card.model_validate(content)
    with pytest.raises(AxisError, match="exp2sim rebin"):
        open_volumes(volume, card)
    assert main(["rebin", "in.nxs", "out.nxs", "--axis", "h:0.5", "--axis", "energy:3"]) == 0
    assert open_volumes(load("out.nxs"), card).intensity.shape == (1, 4, 4, 4)
