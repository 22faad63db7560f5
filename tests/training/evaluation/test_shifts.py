"""Shifts: the figures of a model that does nothing, and a table that goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io.masks import read_mosaic_mask
from mantid_exp2sim.model.bundle import Bundle, load_bundle, save_bundle
from mantid_exp2sim.model.card import Card, mosaic_axes
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, picture_from_volumes
from mantid_exp2sim.networks import GeneratorSettings, build_generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe
from mantid_exp2sim.training.evaluation.shift_table import shift_table
from mantid_exp2sim.training.evaluation.shifts import (
    MEASURED_MASK,
    SHIFTS,
    Reading,
    ShiftSettings,
    measure_shifts,
    summary,
)

SETTINGS = ShiftSettings(spectra=1, intervals=0, seed=5)


def save_model(folder: Path, **changes: Any) -> Bundle:
    """Generators that are the identity."""
    card = Card(
        name="plain", scaling=Scaling(intensity_scale=1.0), layout=Layout(windows=10), axes=mosaic_axes(),
        incident_energies=INCIDENT_ENERGIES, generator=GeneratorSettings(width=4, blocks=1), **changes,
    )  # fmt: skip
    generator = build_generator(card.generator, card.layout)
    save_bundle(folder / "plain", card, {"deconvolve": generator, "convolve": generator})
    return load_bundle(folder / "plain")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save_model(tmp_path_factory.mktemp("m"))


def test_a_model_that_does_nothing_keeps_what_the_shift_adds(plain: Bundle) -> None:
    names = ("as in training", "perfect simulation", "intensity × 10", "phonons 30 %", "background alone")
    figures = measure_shifts(plain, settings=SETTINGS, names=names)["shifts"]
    assert list(figures) == [name for name in SHIFTS if name in names]
    usual, clean = figures["as in training"], figures["perfect simulation"]
    assert 0.05 < clean["error"] < usual["error"] < figures["phonons 30 %"]["error"]
    assert figures["intensity × 10"]["error"] == pytest.approx(usual["error"], rel=1e-3)
    assert figures["background alone"]["error"] is None
    for each in figures.values():
        assert each["kept"] == pytest.approx(1, abs=1e-3)
        assert (each["trustworthy"], each["refused"], each["right"]) == (0, 0, None)


def test_finished_shifts_are_not_repeated(plain: Bundle, tmp_path: Path) -> None:
    measure_shifts(plain, settings=SETTINGS, names=("perfect simulation",), folder=tmp_path)
    path = tmp_path / "shifts.json"
    written = json.loads(path.read_text())
    error = written["shifts"]["perfect simulation"]["error"]
    written["shifts"]["perfect simulation"]["error"] = 9.0
    path.write_text(json.dumps(written))
    said: list[str] = []
    two = ("perfect simulation", "as in training")
    again = measure_shifts(plain, settings=SETTINGS, names=two, folder=tmp_path, say=said.append)
    assert again["shifts"]["perfect simulation"]["error"] == 9.0
    assert [line.partition(":")[0] for line in said] == ["as in training"]
    assert json.loads(path.read_text())["shifts"].keys() == set(two)
    more = ShiftSettings(spectra=2, intervals=0, seed=5)
    other = measure_shifts(plain, settings=more, names=two[:1], folder=tmp_path)
    assert other["shifts"]["perfect simulation"]["error"] != 9.0
    assert error == pytest.approx(other["shifts"]["perfect simulation"]["error"], rel=0.8)


def test_figures_of_a_shift() -> None:
    right, wrong = {"deconvolved": {"A": 0.9, "B": 0.1}}, {"deconvolved": {"A": 0.2, "B": 0.6}}
    readings = [
        Reading("trustworthy", 0.1, 0.1, 1.0, 0.7, right, "A"),
        Reading("trustworthy", 0.1, 0.2, 1.0, None, wrong, "A"),
        Reading("untrustworthy", None, 0.3, 0.4, None, right, "A"),
        Reading("expert opinion", 0.1, None, 0.0, 0.5, right, "B"),
    ]
    figures = summary(readings)
    assert (figures["trustworthy"], figures["refused"], figures["trusted_right"]) == (0.5, 0.25, 0.5)
    assert figures["ratio"] == pytest.approx(1.5)
    assert figures["error"] == pytest.approx(0.2)
    assert (figures["right"], figures["wrong"], figures["right_raw"]) == (0.5, 0.5, None)
    assert figures["coverage"] == pytest.approx(0.6)


def test_a_measured_mask_is_read_the_right_way_up(plain: Bundle, tmp_path: Path) -> None:
    coverage = mosaic_coverage_mask()
    np.save(tmp_path / "mask.npy", picture_from_volumes(coverage)[::-1])
    mask = read_mosaic_mask(tmp_path / "mask.npy")
    assert (mask == coverage).all()
    one = ShiftSettings(spectra=1, intervals=0, seed=5)
    names = (MEASURED_MASK, "perfect simulation")
    report = measure_shifts(plain, settings=one, names=names, mask=mask)
    assert report["shifts"][MEASURED_MASK] == report["shifts"]["perfect simulation"]
    assert list(measure_shifts(plain, settings=one, names=(MEASURED_MASK,))["shifts"]) == []


def test_the_table_has_a_row_for_each_shift() -> None:
    figures = summary([Reading("trustworthy", 0.1, 0.12, 1.0, None, {}, "A")])
    table = shift_table({"model": "plain", "spectra": 1, "shifts": {"phonons 30 %": figures}})
    assert table.rows == [["phonons 30 %", "0.120", "0.100", "1.20", "100 %", "0 %", "–", "–", "–", "–"]]


def test_the_report_of_an_evaluation_has_the_table(
    plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mantid_exp2sim.training.evaluation import shifts

    monkeypatch.setattr(shifts, "SHIFTS", {"perfect simulation": shifts.CLEAN})
    recipe = Recipe(name="d", seed=1, train=2, validation=2, test=1, grid=8, shard_size=10)
    simulate_dataset(recipe, tmp_path / "data")
    quick = ["--shifts", "--spectra", "1", "--intervals", "0", "--classical", "0", "--foreign", "0", "--json"]
    where = [str(plain.folder), str(tmp_path / "data"), "--report", str(tmp_path / "report")]
    assert main(["evaluate", *where, *quick]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["shifts"]["shifts"]) == ["perfect simulation"]
    assert "<td>perfect simulation</td>" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Exp2SimError, match="cannot be simulated"):
        measure_shifts(save_model(tmp_path, classes=("Chain", "Ladder")), settings=SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pcsmo-maps"], "No data set is given"),
        (["pcsmo-maps", "--shifts", "--on-card"], "No data set is given"),
        (["pcsmo-maps", "--shifts", "--spectra", "0"], "--spectra is 0"),
    ],
)
def test_the_command_refuses_what_cannot_be_meant(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) != 0
    assert said in capsys.readouterr().err


def test_a_scale_is_that_of_the_user(tmp_path: Path) -> None:
    """Data in another unit and the mean intensity on the card: nothing depends on the unit."""
    model = save_model(tmp_path, mean_intensity=5.0)
    settings = ShiftSettings(spectra=1, intervals=0, seed=5, scale="auto")
    names = ("as in training", "intensity × 10")
    usual, bright = measure_shifts(model, settings=settings, names=names)["shifts"].values()
    assert [bright[key] for key in ("error", "kept")] == pytest.approx([usual["error"], usual["kept"]])
