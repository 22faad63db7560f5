"""The report on a real measurement: the noise it estimates, what it says, and its figure."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.mosaic import mosaic_histogram, picture_from_volumes

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("measurement_report")


def reading(example: Any, values: tuple[float, float]) -> dict[str, Any]:
    best = max(values)
    prediction = ("Dimer", "Goodenough")[values.index(best)] if best >= 0.5 else "none"
    return {
        "correlations": dict(zip(("Dimer", "Goodenough"), values, strict=True)),
        "prediction": prediction,
        "threshold": 0.5,
    }


def make_report(
    example: Any, raw: tuple[float, float], sharp: tuple[float, float], *, p_value: float | None = 0.3
) -> dict[str, Any]:
    one = {
        example.RAW: reading(example, raw),
        example.RAW_AS_SIMULATED: reading(example, (0.1, 0.2)),
        example.DECONVOLVED: reading(example, sharp),
    }
    return {
        "checksum": "0" * 64,
        "correlations": {"scale 1.0": {"factor": 1.0, **one}, "scale auto": {"factor": 2.9, **one}},
        "domain": {"verdict": "trustworthy", "p_value": p_value, "score": 1.6, "limit": 3.1},
        "consistency": {"deconvolved": 0.3, "untranslated": 0.2, "noise": 0.5, "noise_is": "given"},
        "intensity_ratio": 0.83,
        "intensity_ratio_per_panel": [[0.9] * 9 + [None]] * 6,
    }


def test_noise_is_found_where_the_crystal_is_symmetric(example: Any) -> None:
    rng = np.random.default_rng(0)
    half = rng.gamma(1.0, 5.0, size=(6, 40, 40, 10))
    clean = half + half[:, ::-1, ::-1]
    mask = rng.random(clean.shape) < 0.3
    assert example.noise_of(clean, mask) == pytest.approx(0, abs=1e-9)
    noise = rng.standard_normal(clean.shape)
    wanted = np.linalg.norm(noise[~mask])
    assert example.noise_of(clean + noise, mask) == pytest.approx(wanted, rel=0.02)


def test_consistency_of_the_data_with_themselves(example: Any) -> None:
    mask = np.zeros((240, 400), dtype=bool)
    mask[:30] = True
    flat = mosaic_histogram(np.where(mask, np.nan, 3.0), mask=mask)
    found = example.consistency(flat, flat)
    assert found["deconvolved"] == found["untranslated"] < 0.02  # a constant stays a constant
    assert found["noise"] == pytest.approx(0, abs=1e-9)
    known = mosaic_histogram(np.where(mask, np.nan, 3.0), variance=np.where(mask, np.nan, 0.09), mask=mask)
    found = example.consistency(known, flat)
    assert found["noise"] == pytest.approx(0.1)
    assert found["noise_is"] == "of the data's errors"
    twice = mosaic_histogram(np.where(mask, np.nan, 6.0), mask=mask)
    assert example.consistency(flat, twice)["deconvolved"] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("raw", "sharp", "said"),
    [
        ((0.1, 0.9), (0.2, 0.8), "Goodenough, raw (0.90) and deconvolved (0.80)."),
        ((0.1, 0.9), (0.1, 0.2), "Raw: Goodenough (0.90); deconvolved: no class (largest Goodenough 0.20)."),
        ((0.1, 0.9), (0.7, 0.2), "Raw: Goodenough (0.90); deconvolved: Dimer (0.70). The two disagree."),
        ((0.1, 0.4), (0.3, 0.2), "Like no class, raw (Goodenough 0.40) and deconvolved (Dimer 0.30)."),
    ],
)
def test_what_the_measurement_shows(
    example: Any, raw: tuple[float, float], sharp: tuple[float, float], said: str
) -> None:
    words = example.shows(make_report(example, raw, sharp))
    assert words.startswith(said)
    assert "Domain: trustworthy (p = 0.3)" in words
    assert "0.30 from the data, below their noise (0.50). 83 % of the intensity is left." in words


def test_what_is_no_mosaic_is_refused(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "volume.npy", np.ones((60, 60, 60)))
    for name, why in (("none.npy", "cannot be read"), ("volume.npy", "is no mosaic")):
        command = ["measurement_report.py", str(tmp_path / name), "--out", str(tmp_path / "report")]
        monkeypatch.setattr("sys.argv", command)
        assert example.main() == 2
        assert why in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_one_figure_holds_everything_and_nothing_overlaps(example: Any) -> None:
    draw = importlib.import_module("measurement_figure").draw

    rng = np.random.default_rng(0)
    picture = picture_from_volumes(rng.gamma(1.0, 3.0, size=(6, 40, 40, 10)))
    picture[:20] = np.nan
    shown = mosaic_histogram(picture, variance=np.abs(picture), mask=np.isnan(picture))
    report = make_report(example, (0.1, 0.9), (0.1, 0.2))
    report["shows"] = example.shows(report)
    findings = [
        example.Findings("one", shown, shown, rng.gamma(2.0, 0.4, 250), report),
        example.Findings(
            "two", shown, shown, None, {**report, "domain": {**report["domain"], "score": None}}
        ),
    ]
    figure = draw(findings)
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 2 * 7
    assert {"raw", "deconvolved", "error of the deconvolution (1 σ)", "Correlations"} <= set(titles)
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(width, height) < 2  # pixels
