"""The evaluation: its figures on inputs whose answer is known, and the report of a small model."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL
from mantid_exp2sim.model.bundle import Bundle, load_bundle, save_bundle
from mantid_exp2sim.model.card import Card, ClassifierCard, mosaic_axes
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import ClassifierSettings, GeneratorSettings, build_classifier, build_generator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.instrument import MAPS
from mantid_exp2sim.simulation.manganite import LATTICE
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.calibration.coverage import coverage
from mantid_exp2sim.training.calibration.domain_reference import add_domain
from mantid_exp2sim.training.calibration.error_model import Conditions, calibrate
from mantid_exp2sim.training.calibration.length_scale import sharpen
from mantid_exp2sim.training.datasets.sampler import open_dataset
from mantid_exp2sim.training.datasets.spectra import Spectra
from mantid_exp2sim.training.evaluation import Settings, evaluate, tables, write_report
from mantid_exp2sim.training.evaluation.bootstrap import closed, interval, share_of
from mantid_exp2sim.training.evaluation.foreign import OWN, foreign_report, foreign_spectra, phonons
from mantid_exp2sim.training.evaluation.metrics import panel_sums, per_panel, relative
from mantid_exp2sim.training.trainers.scores import calibration

NOISE = MeasurementNoise(counting=(0.7, 0.7), background=0.5)
SETTINGS = Settings(limit=4, seed=1, coverage=0, foreign=0)


def make_model(
    folder: Path,
    name: str,
    *,
    classifiers: bool,
    seed: int = 0,
    layout: Layout = Layout(windows=3),  # noqa: B008  (frozen)
) -> Bundle:
    """Generators that are the identity, but for the seed; classifiers with random weights."""
    torch.manual_seed(seed)
    network = ClassifierSettings(panels=6, width=4, features=8, centroid=4, fold="none")
    card = Card(
        name=name,
        scaling=Scaling(intensity_scale=1.0),
        layout=layout,
        axes=tuple(
            axis.model_copy(update={"edges": axis.edges[:4]}) if axis.kind == "energy" else axis
            for axis in mosaic_axes()
        ),
        incident_energies=(25.0, 35.0),
        generator=GeneratorSettings(width=4, blocks=1),
        classes=("Dimer", "Goodenough") if classifiers else (),
        classifiers={
            domain: ClassifierCard(network=network)
            for domain in (("integrated", "convolved") if classifiers else ())
        },
    )
    networks: dict[Any, torch.nn.Module] = {
        role: build_generator(card.generator, card.layout) for role in ("deconvolve", "convolve")
    }
    if seed:
        for generator in networks.values():
            for key, parameter in generator.named_parameters():
                if key.startswith("last"):
                    torch.nn.init.normal_(parameter, std=0.02)
    for domain in card.classifiers:
        networks[f"classifier_{domain}"] = build_classifier(network)
        networks[f"classifier_{domain}"].length_scale.fill_(3.0)  # type: ignore[operator]
    save_bundle(folder / name, card, networks)
    return load_bundle(folder / name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_model(tmp_path_factory.mktemp("m"), "plain", classifiers=True)


def test_a_model_that_does_nothing(model: Bundle, tiny_dataset: Path, tmp_path: Path) -> None:
    report, example = evaluate(model, tiny_dataset, settings=SETTINGS)
    assert report["mosaics"] == 4
    for case in ("deconvolve", "deconvolve_measured", "convolve"):
        errors = report["relative_l2"][case]
        assert errors["translated"]["mean"] == pytest.approx(errors["untranslated"]["mean"], rel=1e-3)
        assert report["better_than"][case]["untranslated"]["value"] == pytest.approx(1, rel=1e-3)
        flux = report["flux"][case]
        assert (abs(flux["worst_panel"] - 1) > 0.05) == (flux["within_5_percent"] < 1)
    back, forth = (
        np.array(report["flux"][case]["per_panel"], dtype=float) for case in ("deconvolve", "convolve")
    )
    np.testing.assert_allclose(back * forth, np.where(np.isnan(back), np.nan, 1), rtol=2e-3)
    assert report["gap_closed"]["deconvolve"]["value"] in (0.0, None)
    assert report["accuracy"]["target:convolved"] == report["accuracy"]["target:deconvolved"]
    assert "does not tell the edges" in report["baseline"]["unknown"]
    assert set(report["consistency"]["measured"]) == {"noise"}  # no operator, no distance
    assert "not known" in report["domain"]
    write_report(tmp_path / "deep" / "report", report, example, open_dataset(tiny_dataset).mask)
    written = tmp_path / "deep" / "report"
    assert json.loads((written / "report.json").read_text()) == report
    html = (written / "index.html").read_text()
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert tables(report).count("\n\n") >= 6


@pytest.fixture
def with_edges(tmp_path: Path, tiny_dataset: Path) -> Path:
    """A data set that tells the edges of its bins, and so its resolution."""
    folder = shutil.copytree(tiny_dataset, tmp_path / "edges")
    described = json.loads((folder / "dataset.json").read_text())
    places = ((np.arange(9) - 4) * 2 / 39).tolist()
    described["edges"] = {"h": places, "k": places, "energy_fraction": [0.1, 0.16, 0.22, 0.28]}
    described["instrument"] = MAPS.settings()
    described["lattice"] = dict(zip(CELL, (*LATTICE, 90.0, 90.0, 90.0), strict=True))
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize("axes", [["h"], ["h", "k", "energy"]])
def test_a_model_of_cuts_is_compared_to_the_resolution_of_cuts(
    tmp_path: Path, with_edges: Path, axes: list[str]
) -> None:
    layout = Layout(dimension=1, energy="separate") if axes == ["h"] else Layout(dimension=3, energy="axis")
    made = make_model(tmp_path, "cuts", classifiers=False, layout=layout)
    report, example = evaluate(made, with_edges, settings=SETTINGS)
    assert report["axes"] == axes
    for case, method in (("deconvolve", "richardson_lucy"), ("convolve", "resolution")):
        errors = report["relative_l2"][case]
        assert (f"{method}_of_cuts" in errors) == (axes == ["h"])
        if axes == ["h"]:
            assert errors[f"{method}_of_cuts"]["mean"] != errors[method]["mean"]
    assert (report["baseline_of_cuts"] is not None) == (axes == ["h"])
    write_report(tmp_path / "r", report, example, open_dataset(with_edges).mask)
    assert ("The networks see h alone" in (tmp_path / "r" / "index.html").read_text()) == (axes == ["h"])


def test_a_data_set_of_other_bins_is_refused(tmp_path: Path, with_edges: Path, model: Bundle) -> None:
    """By everything that measures a model, before anything is written."""
    described = json.loads((with_edges / "dataset.json").read_text())
    described["edges"]["energy_fraction"] = [0.1, 0.11, 0.12, 0.13]
    (with_edges / "dataset.json").write_text(json.dumps(described))
    folder = Path(shutil.copytree(model.folder, tmp_path / "mine"))
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    for use in (
        lambda: evaluate(folder, with_edges, settings=SETTINGS),
        lambda: sharpen(folder, with_edges, conditions=Conditions()),
        lambda: calibrate(folder, with_edges),
        lambda: coverage(folder, with_edges),
        lambda: add_domain(load_bundle(folder), with_edges),
    ):
        with pytest.raises(Exp2SimError, match="not of the model's bins"):
            use()
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_without_classifiers(tmp_path: Path, tiny_dataset: Path) -> None:
    report, example = evaluate(
        make_model(tmp_path, "bare", classifiers=False), tiny_dataset, settings=SETTINGS
    )
    assert (
        report["accuracy"] == report["calibration"] == report["gap_closed"] == report["null_response"] == {}
    )
    write_report(tmp_path / "r", report, example, open_dataset(tiny_dataset).mask)
    assert "Accuracy of" not in (tmp_path / "r" / "index.html").read_text()


def test_measured_input_depends_on_the_seed_and_the_spectrum_alone(tiny_dataset: Path) -> None:
    data = open_dataset(tiny_dataset)
    indices = data.split("test")
    whole, one, other = (
        torch.cat([batch.measured for batch in Spectra(data, "integrated", which, NOISE, seed).batches()])
        for which, seed in ((indices, 1), (indices[2:3], 1), (indices, 2))
    )
    assert torch.equal(whole[2:3], one)
    assert not torch.equal(whole, other)
    assert (whole[:, torch.from_numpy(data.mask)] == 0).all()


def test_panel_sums_skip_what_was_not_measured() -> None:
    truth = torch.ones(2, 1, 8, 8, 2)
    made = 1.5 * truth
    mask = torch.zeros(1, 8, 8, 2, dtype=torch.bool)
    mask[:, :4, :, 1] = True
    made[:, :, :4, :, 1] = 1e6
    sums = panel_sums(made, truth, mask)
    assert relative(sums) == pytest.approx(0.5)
    assert per_panel(sums, "flux") == [[1.5, 1.5]]
    mask[..., 0] = True
    assert per_panel(panel_sums(made, truth, mask), "relative_l2")[0][0] is None


def test_intervals_cover_spectra() -> None:
    spectra = np.random.default_rng(0).normal(size=400)
    of_mean = interval(spectra, seed=0)
    assert of_mean["high"] - of_mean["low"] == pytest.approx(4 / 400**0.5, rel=0.15)


def test_gap_without_an_interval() -> None:
    assert interval(np.ones((10, 3)), 0, closed) == {"value": None, "low": None, "high": None}
    assert share_of(np.array([1.0, 0.0])) is None


def test_calibration_of_a_known_case() -> None:
    found = np.array([[0.8, 0.2]] * 10)
    label = np.array([0] * 8 + [1] * 2)
    right = calibration(found, label)
    assert right["ece"] == pytest.approx(0, abs=1e-5)
    assert right["auroc"] == 0.5
    assert right["nll"] == pytest.approx(-(8 * np.log(0.8) + 2 * np.log(0.2)) / 10, rel=1e-3)
    assert calibration(found, np.zeros(10, dtype=int))["ece"] == pytest.approx(0.2, abs=1e-5)


def test_foreign_materials_gain_nothing_from_a_model_that_does_nothing(
    model: Bundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    data = open_dataset(tiny_dataset)
    said: list[str] = []
    spectra = Spectra(data, "integrated", data.split("test"), NOISE, 1)
    found = foreign_report(model, spectra, 3, said.append)
    assert found["spectra"] == 3
    assert said[-1] == "foreign materials: 3 of 3 of each kind"
    kinds = {"Rb2MnF4", "phonons", "featureless", "shuffled panels", "photographs", "digits", OWN}
    assert kinds <= set(found["controls"])
    assert not any("mask" in name for name in found["controls"])
    for each in found["controls"].values():
        assert each["change"]["value"] == pytest.approx(0, abs=1e-5)
        assert each["deconvolved"]["mean"]["value"] == pytest.approx(
            each["raw_target"]["mean"]["value"], abs=1e-5
        )
        assert each["refused"] is None  # the model has no domain check
    report, example = evaluate(model, tiny_dataset, settings=SETTINGS)
    assert "not known" in report["foreign"]
    assert "phonons" not in tables(report)
    write_report(tmp_path, {**report, "foreign": found}, example, data.mask)
    assert "<td>phonons</td>" in (tmp_path / "index.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["foreign"] == found


def test_the_change_is_paired_and_of_the_same_classifier(
    model: Bundle, tiny_dataset: Path, tmp_path: Path
) -> None:
    data = open_dataset(tiny_dataset)
    spectra = Spectra(data, "integrated", data.split("test"), NOISE, 1)
    other = make_model(tmp_path, "moves", classifiers=True, seed=3)
    found = foreign_report(other, spectra, 4)["controls"]["phonons"]
    means = [found[name]["mean"]["value"] for name in ("raw_target", "deconvolved")]
    assert found["change"]["value"] == pytest.approx(means[1] - means[0])
    assert found["change"]["value"] != 0
    assert found["change"]["low"] <= found["change"]["value"] <= found["change"]["high"]
    assert 0 <= found["raw_convolved"]["above"]["value"] <= 1


def test_phonons_grow_with_q_squared() -> None:
    energies = np.array([25.0, 60.0])
    x = phonons((2, 40, 40, 10), energies, np.random.default_rng(0))
    assert x.shape == (2, 40, 40, 10)
    assert (x >= 0).all()
    assert np.allclose(x, x[:, ::-1])
    # h = 0.25 and 0.75 are the same place in the zone: the bands are the same, Q² is not
    inner, outer = x[1, 24, 20], x[1, 34, 20]
    assert outer.sum() > 2 * inner.sum()


def test_foreign_spectra_are_as_bright_and_as_noisy_as_measured_ones(tiny_dataset: Path) -> None:
    data = open_dataset(tiny_dataset)
    levels = MeasurementNoise(), MeasurementNoise(counting=(0.7, 0.7))
    clean, noisy = (
        next(Spectra(data, "integrated", data.split("test"), noise, 1).batches()) for noise in levels
    )
    known = ~data.mask
    quiet, loud = (
        foreign_spectra(batch, Spectra(data, "integrated", data.split("test"), noise, 1))
        for batch, noise in zip((clean, noisy), levels, strict=True)
    )
    mean = clean.convolved.numpy()[:, known].mean()
    for name in ("phonons", "Rb2MnF4", "featureless"):
        assert quiet[name][:, known].mean() == pytest.approx(mean, rel=1e-3)
        assert (quiet[name][:, data.mask] == 0).all()
        spread = (loud[name] - quiet[name])[:, known]
        assert (spread**2).mean() == pytest.approx(0.7 * quiet[name][:, known].mean(), rel=0.25)


@pytest.mark.parametrize(("shape", "count"), [((6, 40, 40, 10), 100), ((6, 40, 40, 60), 27)])
def test_large_spectra_are_fewer_controls(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], count: int
) -> None:
    from types import SimpleNamespace as Made

    from mantid_exp2sim.training.calibration import domain_report as controls
    from mantid_exp2sim.training.evaluation.coverage import domain_reports

    monkeypatch.setattr(controls, "control_report", lambda *_, count, cuts: {"count": count, "cuts": cuts})
    data: Any = Made(description=Made(shape=shape))
    for known in (None, "known"):
        model: Any = Made(card=Made(domain=Made(cuts=known)))
        found = domain_reports(model, data, 0)
        assert found["domain"] == {"count": count, "cuts": False}
        assert found.get("domain_of_cuts") == (known and {"count": count, "cuts": True})
