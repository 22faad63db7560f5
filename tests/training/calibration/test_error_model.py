"""The calibration of a model's own error covers what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.model.error_model import ErrorModel
from mantid_exp2sim.training.calibration.coverage import covered
from mantid_exp2sim.training.calibration.error_model import Records, fit


def _records(seed: int, count: int = 60_000) -> Records:
    """Errors with heavy tails, in proportion to the intensity and an incident energy, beside input noise."""
    rng = np.random.default_rng(seed)
    energy = rng.integers(0, 2, count)
    intensity = rng.gamma(0.5, 10.0, count)
    spread = 0.1 * intensity * rng.uniform(0.5, 1.5, count)
    given = np.where(rng.random(count) < 0.5, 0.0, 0.1 * intensity)
    own = (0.2 + 0.1 * intensity + spread) * (1.0 + energy)
    error = np.abs(own * rng.standard_t(3, count) + np.sqrt(given) * rng.standard_normal(count))
    return Records(error, intensity, given, spread, energy, (given > 0).astype(np.int64))


def test_intervals_cover_what_they_say_on_other_data() -> None:
    errors = fit(_records(0), 2)
    report = covered(errors, _records(1), ("clean", "noisy"), (25.0, 50.0))
    for found in (report["overall"], *report["energies"].values()):
        assert found["68"] == pytest.approx(0.683, abs=0.015)
        assert found["95"] == pytest.approx(0.95, abs=0.01)
    for found in report["conditions"].values():
        assert 0.63 < found["68"] < 0.73
        assert 0.92 < found["95"] < 0.98


def test_heavy_tails_make_the_95_interval_wider_than_a_gaussians() -> None:
    narrow, wide = fit(_records(0), 2).halves(np.full((1, 1), 5.0), np.full((1, 1), 0.5), [0])
    assert wide > 2.2 * narrow


def test_the_spread_is_used_where_it_tells_something() -> None:
    records = _records(2)
    rng = np.random.default_rng(5)
    spread = rng.gamma(0.5, 4.0, len(records.error))
    telling = Records(
        np.abs(2 * spread * rng.standard_normal(len(spread))),
        records.intensity, 0 * records.propagated, spread, records.energy, records.condition,
    )  # fmt: skip
    bright, spreads = np.full((1, 2), 5.0), np.array([[1.0, 3.0]])
    narrow, wide = fit(telling, 2).halves(bright, spreads, [0])
    assert narrow[0] == pytest.approx([2.0, 6.0], rel=0.1)
    assert wide[0] == pytest.approx([1.96 * 2.0, 1.96 * 6.0], rel=0.1)
    useless = Records(
        np.abs(rng.standard_normal(len(spread))),
        records.intensity, 0 * records.propagated, spread, records.energy, records.condition,
    )  # fmt: skip
    narrow, _ = fit(useless, 2).halves(bright, spreads, [0])
    assert narrow[0] == pytest.approx([1.0, 1.0], rel=0.1)


def test_every_class_of_intensity_is_covered_as_said() -> None:
    """Also where the spread alone says more than the error is, as in dark bins."""
    records = [_records(seed) for seed in (3, 4)]
    for one in records:
        one.error[:] *= np.clip(one.intensity / 5, 0.02, 1)
        one.spread[:] = one.error * np.random.default_rng(5).gamma(2.0, 0.2, len(one.error)) + 0.05
        one.propagated[:] = 0
    errors = fit(records[0], 2)
    for low, high in ((0, 0.3), (0.3, 2), (2, 10), (10, 30), (30, 1000)):
        part = records[1].select((records[1].intensity >= low) & (records[1].intensity < high))
        found = covered(errors, part, ("clean",), (25.0, 50.0))["overall"]
        assert found["68"] == pytest.approx(0.683, abs=0.04)
        assert found["95"] == pytest.approx(0.95, abs=0.02)


def test_where_there_are_few_bins_the_error_is_not_nothing() -> None:
    """An energy whose spectra are dark: what is brighter than all of them has the others' error, or more."""
    records = _records(0)
    records = records.select((records.energy == 0) | (records.intensity < 10))
    records = records.select((records.propagated == 0) | (records.intensity < 20))
    errors = fit(records, 2)
    assert isinstance(errors, ErrorModel)
    for row in (0, 1):
        bright = np.array([[1.0, 15.0, 60.0, 500.0]])
        for half in errors.halves(bright, 0.1 * bright, [row]):
            assert (np.diff(half[0]) > 0).all()
            assert (half[0] > 0.1 * bright[0]).all()
    assert errors.given is not None
    assert errors.given[-1] == errors.given[-2] > 0


def test_an_energy_without_data_has_the_others_error() -> None:
    records = _records(0)
    errors = fit(records.select(records.energy == 0), 2)
    assert errors.sigma[1] == errors.sigma[0]


def test_few_data_at_all_are_used_as_they_are() -> None:
    records = _records(0, 60)
    narrow, wide = fit(records, 2).halves(np.full((2, 1), 5.0), np.full((2, 1), 0.5), [0, 1])
    assert (narrow > 0).all()
    assert (wide >= narrow).all()


def test_calibrate_and_cover(
    tiny_model: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the whole way: a calibration is written onto a card, the weights stay, and it covers."""
    import json

    from mantid_exp2sim.cli import main
    from mantid_exp2sim.model.bundle import load_bundle

    before = load_bundle(tiny_model)
    assert main(["calibrate", str(tiny_model), str(tiny_dataset), "--only-test", "--json"]) == 0
    assert "not known" in json.loads(capsys.readouterr().out)["deconvolve"]
    assert main(["calibrate", str(tiny_model), str(tiny_dataset), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["deconvolve"]["conditions"]) == {"clean", "noise", "noise and background"}
    assert 0.4 < report["deconvolve"]["overall"]["68"] < 0.95
    after = load_bundle(tiny_model)
    kept = [key for key in before.card.weights if "classifier" not in key]
    assert {key: after.card.weights[key] for key in kept} == {key: before.card.weights[key] for key in kept}
    assert set(after.card.errors) == {"deconvolve", "convolve"}
    assert main(["calibrate", str(tiny_model), str(tiny_dataset), "--limit", "0"]) != 0


def test_two_calculations_that_write_to_a_model_do_not_meet(
    tiny_model: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused at its start, and not when it has calculated for long; nothing is left behind."""
    from mantid_exp2sim.cli import main
    from mantid_exp2sim.training.trainers.bundle import held

    before = {path.name: path.read_bytes() for path in tiny_model.iterdir()}
    with held(tiny_model):
        for command in (["domain"], ["calibrate"], ["evaluate", "--on-card"]):
            assert main([command[0], str(tiny_model), str(tiny_dataset), *command[1:]]) == 2
            assert "in use by process" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tiny_model.iterdir()} == before
    assert [path.name for path in tiny_model.parent.glob(".*writing*")] == []
