"""The domain check: calibrated, able to tell, refusing, and as bounded and checked as weights are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from mantid_exp2sim.application.model import Model, load_model
from mantid_exp2sim.cli import main
from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.domain.likeness import conformal_p
from mantid_exp2sim.domain.scores import in_domain_scores
from mantid_exp2sim.errors import Exp2SimError, OutsideDomainError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.io import save
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import Card, DomainCard
from mantid_exp2sim.simulation.noise import MeasurementNoise
from mantid_exp2sim.training.calibration.domain_reference import add_domain
from mantid_exp2sim.training.calibration.domain_report import control_report
from mantid_exp2sim.training.calibration.spectra import Settings
from mantid_exp2sim.training.datasets.dataset import open_dataset
from mantid_exp2sim.training.trainers.scores import area_under_curve


def score(report: DomainReport) -> float:
    assert report.score is not None
    return report.score


def area(positive: Iterable[float], negative: Iterable[float]) -> float:
    value = area_under_curve(list(positive), list(negative))
    assert value is not None
    return value


def reference(card: Card) -> DomainCard:
    assert card.domain is not None
    return card.domain


def test_the_wrong_kind_scores_above_the_right_one(
    model: Model, inside: list[Histogram], wrong_kind: list[Histogram]
) -> None:
    right, wrong = ([score(model.check_domain(h)) for h in some] for some in (inside, wrong_kind))
    assert area(wrong, right) > 0.95
    back = [score(model.check_domain(h, direction="convolve")) for h in wrong_kind]
    away = [score(model.check_domain(h, direction="convolve")) for h in inside]
    assert area(away, back) > 0.95


def test_p_values_of_the_domain_are_uniform(domain_models: Path, domain_dataset: Path) -> None:
    report = control_report(
        load_bundle(domain_models / "mosaic"), open_dataset(domain_dataset), seed=1, count=40
    )
    assert report["in_domain"]["ks_p"] > 0.01
    assert report["controls"]["digits"]["auroc"] > 0.9
    assert report["controls"]["shuffled bins"]["auroc"] > 0.9
    assert report["controls"]["mask of another energy"]["auroc"] > 0.95
    assert {"in_domain", "expected_error_in_domain"} <= set(report["error_correlation"])
    assert 0.5 < report["error_correlation"]["expected_over_true_error"] < 2
    json.dumps(report, allow_nan=False)


def test_ranks_of_exchangeable_scores_are_uniform() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        scores = rng.integers(0, 3, 41).astype(float)  # mostly ties
        found.append(conformal_p(scores[0], scores[1:], float(rng.random())))
    assert kstest(found, "uniform").pvalue > 0.01
    assert conformal_p(9.0, np.arange(5.0), 0.5) < 1 / 6


@pytest.mark.parametrize("name", ["mosaic", "volumes", "cuts", "rows"])
def test_untrustworthy_data_are_refused_and_forced(
    domain_models: Path,
    inside: list[Histogram],
    foreign: Histogram,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = load_model(domain_models / name)
    before = foreign.intensity.copy()
    assert model.check_domain(foreign).verdict == "untrustworthy"
    with pytest.raises(OutsideDomainError) as refused:
        model.deconvolve(foreign)
    report = model.check_domain(foreign)
    figures = refused.value.p_value, refused.value.score, refused.value.limit
    assert figures == (report.p_value, report.score, report.limit)
    assert np.array_equal(foreign.intensity, before, equal_nan=True)
    assert "is not sure of these data" not in caplog.text
    forced = model.deconvolve(foreign, force=True, uncertainty=False)
    assert "is not sure of these data: domain: untrustworthy" in caplog.text
    assert forced.metadata["history"][-1]["domain"]["verdict"] == "untrustworthy"
    verdicts = [model.check_domain(h).verdict for h in inside[:20]]
    assert verdicts.count("untrustworthy") <= 1
    assert verdicts.count("trustworthy") >= 14


def test_the_same_data_give_the_same_answer(
    model: Model, domain_models: Path, inside: list[Histogram]
) -> None:
    other = load_model(domain_models / "mosaic")
    assert model.check_domain(inside[0]) == other.check_domain(inside[0])
    hidden = inside[0].replace(intensity=np.where(inside[0].mask, 1e9, inside[0].intensity))
    assert model.check_domain(hidden).score == model.check_domain(inside[0]).score


@pytest.mark.parametrize("name", ["mosaic", "volumes", "cuts", "rows"])
def test_a_translation_in_between_changes_no_digit(
    domain_models: Path, inside: list[Histogram], name: str
) -> None:
    model = load_model(domain_models / name)
    before = model.check_domain(inside[0])
    model.deconvolve(inside[0], uncertainty=False)
    assert model.check_domain(inside[0]) == before


@pytest.mark.parametrize("factor", [1e30, 1e300])
def test_data_that_are_beyond_measure_are_untrustworthy(
    model: Model, foreign: Histogram, factor: float
) -> None:
    found = model.check_domain(foreign.replace(intensity=foreign.intensity * factor))
    assert found.verdict == "untrustworthy"
    json.dumps(found.to_dict())


def test_too_few_bins_are_never_untrustworthy(model: Model, foreign: Histogram) -> None:
    mask = foreign.mask.copy()
    mask[:9] = True
    found = model.check_domain(
        foreign.replace(mask=mask, intensity=np.where(mask, np.nan, foreign.intensity))
    )
    assert found.verdict != "untrustworthy"
    assert "%" in found.note


def test_larger_data_are_compared_in_blocks(
    model: Model, inside: list[Histogram], make_volume: Callable[..., Any]
) -> None:
    one = inside[0]
    wide = make_volume(np.tile(np.nan_to_num(one.intensity), (2, 1, 1)), np.tile(one.mask, (2, 1, 1)), 25.0)
    assert model.check_domain(wide).p_value is not None


def row(of: Histogram, k: int, energy: int) -> Histogram:
    """A cut along h."""
    values, mask = of.intensity[:, k, energy], of.mask[:, k, energy]
    return Histogram.from_arrays(values, of.axes[:1], np.abs(values), mask, metadata=of.metadata)


def test_a_single_cut_is_compared_with_single_cuts(domain_models: Path, inside: list[Histogram]) -> None:
    """A cut of the domain is not foreign for being no volume, and one that is foreign is seen."""
    model = load_model(domain_models / "rows")
    rng = np.random.default_rng(2)
    cuts = [row(one, int(rng.integers(6, 12)), int(rng.integers(2))) for one in inside[:40]]
    found = [model.check_domain(cut) for cut in cuts]
    assert not any(one.note for one in found)
    assert [one.verdict for one in found].count("trustworthy") > 34
    teeth = [
        cut.replace(intensity=np.where(np.arange(12) % 2, 0.0, 2 * np.nanmean(cut.intensity))) for cut in cuts
    ]
    away = [model.check_domain(cut) for cut in teeth]
    assert area(map(score, away), map(score, found)) > 0.95
    single = reference(model.card).cuts
    assert single is not None
    assert (reference(model.card).shape, single.shape) == ((12, 12, 3), (12, 1, 1))
    own = in_domain_scores(model.prepare(cuts[0]))
    assert own is not None
    assert np.quantile(own, 0.99) < float(found[0].limit or 0.0)
    plane = inside[0].replace(
        intensity=np.where(np.arange(12)[None, :, None] % 12, np.nan, inside[0].intensity),
        mask=inside[0].mask | (np.arange(12)[None, :, None] % 12 > 0),
    )
    assert model.check_domain(plane).verdict == "trustworthy"


def test_cuts_have_the_directions_of_volumes(domain_models: Path, tmp_path: Path) -> None:
    """A card that says otherwise is refused when it is read, not when data are checked."""
    folder = Path(shutil.copytree(domain_models / "rows", tmp_path / "rows"))
    card = json.loads((folder / "card.json").read_text())
    del card["domain"]["cuts"]["directions"]["deconvolve"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(Exp2SimError, match="directions that volumes have"):
        load_bundle(folder)


def test_whole_spectra_say_more_than_single_cuts(
    domain_models: Path, inside: list[Histogram], domain_dataset: Path
) -> None:
    """A model of cuts compares volumes with volumes."""
    model = load_model(domain_models / "rows")
    assert [model.check_domain(one).verdict for one in inside[:40]].count("trustworthy") > 34
    data = open_dataset(domain_dataset)
    whole, single = (
        control_report(model.bundle, data, seed=1, count=20, cuts=cuts) for cuts in (False, True)
    )
    for report in (whole, single):
        assert report["in_domain"]["ks_p"] > 0.01
        assert 0.5 < report["error_correlation"]["expected_over_true_error"] < 2
    for name in ("shuffled panels", "photographs", "wrong domain"):
        assert whole["controls"][name]["auroc"] > single["controls"][name]["auroc"] > 0.5
    assert single["spectra"]["in domain"] == 2 * 2 * whole["spectra"]["in domain"]
    with pytest.raises(Exp2SimError, match="single cuts"):
        control_report(load_bundle(domain_models / "volumes"), data, count=4, cuts=True)


def test_a_model_without_reference_says_so(plain_models: Path, inside: list[Histogram]) -> None:
    model = load_model(plain_models / "mosaic")
    found = model.check_domain(inside[0])
    assert (found.verdict, found.p_value) == ("not known", None)
    made = model.deconvolve(inside[0], uncertainty=False)
    assert made.metadata["history"][-1]["domain"]["verdict"] == "not known"
    assert in_domain_scores(model.prepare(inside[0])) is None


def test_calibration_is_a_function_of_the_seed(
    plain_models: Path, domain_dataset: Path, tmp_path: Path
) -> None:
    sums = []
    for number, seed in enumerate((0, 0, 1)):
        folder = Path(shutil.copytree(plain_models / "cuts", tmp_path / str(number) / "cuts"))
        model = load_bundle(folder)
        chosen = Settings.of(model.card, foreign=4, train=60, held=60, points=8, seed=seed)
        file = reference(add_domain(model, domain_dataset, settings=chosen)).file
        sums.append(file.sha256)
        assert file.size <= 2**20
        assert (folder / "domain.safetensors").stat().st_size == file.size
    assert sums[0] == sums[1] != sums[2]


def test_controls_are_made_like_the_reference(
    plain_models: Path, domain_dataset: Path, tmp_path: Path
) -> None:
    """By the card's own settings, not by a recipe with words that the reference knew nothing of."""
    model = load_bundle(Path(shutil.copytree(plain_models / "cuts", tmp_path / "cuts")))
    chosen = replace(
        Settings.of(model.card, foreign=4, train=60, held=60, points=8, seed=3),
        noise=MeasurementNoise(
            counting=(0.5, 2.0), background=0.3, subtraction=1.5, subtraction_share=0.4, clean_share=0.2
        ),
    )
    card = reference(add_domain(model, domain_dataset, settings=chosen))
    found = Settings.recorded(card)
    for name in ("noise", "intensity_jitter", "augment", "points", "seed"):
        assert getattr(found, name) == getattr(chosen, name), name
    older = card.model_copy(update={"settings": {"noise": {"counting": [0.5, 2.0]}}})
    assert Settings.recorded(older).noise == MeasurementNoise(counting=(0.5, 2.0))


def test_a_damaged_reference_is_refused(domain_models: Path, inside: list[Histogram], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(domain_models / "mosaic", tmp_path / "mosaic"))
    path = folder / "domain.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Exp2SimError, match="not the file"):
        load_bundle(folder)
    path.unlink()
    with pytest.raises(Exp2SimError, match="has no file"):
        Model(load_bundle(folder, verify=False)).check_domain(inside[0])


def test_a_reference_goes_with_its_encoder_alone(domain_models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(domain_models / "mosaic", tmp_path / "mosaic"))
    model = load_bundle(folder)
    networks = {key: model.network(key) for key in model.card.weights}
    kept = save_bundle(folder, model.card, networks, overwrite=True)
    assert kept.domain == model.card.domain
    networks["deconvolve"] = networks["convolve"]
    assert save_bundle(folder, model.card, networks, overwrite=True).domain is None


def test_too_few_spectra_cannot_be_calibrated(
    plain_models: Path, domain_dataset: Path, tmp_path: Path
) -> None:
    model = load_bundle(Path(shutil.copytree(plain_models / "cuts", tmp_path / "cuts")))
    with pytest.raises(Exp2SimError, match="At least 20"):
        add_domain(model, domain_dataset, settings=replace(Settings.of(model.card), held=10))


def test_the_command(
    domain_models: Path,
    inside: list[Histogram],
    foreign: Histogram,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    save(inside[0], good)
    save(foreign, bad)
    options = ["--model", str(domain_models / "mosaic"), "--json"]
    assert main(["check", str(good), *options, "--plot", str(tmp_path / "ridge.png")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"p_value", "distance", "verdict"} <= set(report)
    assert (tmp_path / "ridge.png").read_bytes()[:4] == b"\x89PNG"
    out = tmp_path / "out.npz"
    assert main(["deconvolve", str(bad), str(out), *options]) == 2
    assert not out.exists()
    assert "outside" in json.loads(capsys.readouterr().out)["error"]
    assert main(["deconvolve", str(bad), str(out), *options, "--force"]) == 0
    assert json.loads(capsys.readouterr().out)["domain"]["verdict"] == "untrustworthy"
    assert out.exists()


def test_loading_by_name_sees_a_new_reference(domain_models: Path) -> None:
    assert load_model(domain_models / "mosaic").card.domain is not None
