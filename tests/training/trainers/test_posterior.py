"""A posterior that is trained on a small simulated set tells constants, and fits start from its draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim import Binning, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.posterior import load_posterior, read_posterior_card
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe
from mantid_exp2sim.training.trainers.bundle import make_posterior
from mantid_exp2sim.training.trainers.train import train

DATA = """
name = "square"
seed = 1
train = 100
validation = 20
test = 1
classes = ["rb2mnf4"]
kinds = ["convolved"]
grid = 5
instrument = "MERLIN"
[binning]
incident_energies = [14.0]
bins = [12, 12, 5]
"""
RECIPE = """
kind = "posterior"
[data]
folder = "{folder}"
augment = []
[data.noise]
counting = [0.0, 0.05]
[network]
width = 8
components = 2
[schedule]
steps = {steps}
batch = 20
[validation]
checks = 2
"""
STEPS = 80


def write_recipe(folder: Path, data: Path, steps: int = STEPS) -> Path:
    path = folder / "posterior.toml"
    path.write_text(RECIPE.format(folder=data, steps=steps))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("square")
    (folder / "data.toml").write_text(DATA)
    simulate_dataset(read_recipe(folder / "data.toml"), folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert train(write_recipe(folder, data), out=folder / "run") == "finished"
    return folder / "run"


@pytest.fixture(scope="module")
def posterior(run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("posteriors") / "square"
    make_posterior(out, run=run, dataset=data)
    return out


def measured(j1: float, *, bins: int = 12) -> Measurement:
    edges = np.linspace(-40 / 39, 40 / 39, bins + 1)
    binning = Binning(edges, edges, np.linspace(1.4, 9.8, 6), 14.0)
    ideal = simulate("rb2mnf4", [j1, 0.05], binning=binning, grid=8, instrument="MERLIN")
    expected = 0.3 * np.nan_to_num(ideal.intensity)
    variance = 0.02 * expected + 1e-3 * expected.max()
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(expected.shape)
    histogram: Histogram = ideal.replace(intensity=expected + noise, variance=variance)
    return Measurement(histogram, "MERLIN")


def test_it_is_narrower_than_the_prior(run: Path) -> None:
    last = (run / "metrics.csv").read_text().splitlines()
    metrics = dict(zip(last[0].split(","), map(float, last[-1].split(",")), strict=True))
    assert metrics["width_Rb2MnF4_J1"] < 0.5
    assert 0.4 < metrics["inside_68_Rb2MnF4"] < 0.95


def test_a_stopped_run_ends_with_the_same_bytes(run: Path, data: Path, tmp_path: Path) -> None:
    again = train(write_recipe(tmp_path, data), out=tmp_path / "run")
    assert again == "finished"
    for name in ("checkpoint.safetensors", "best/posterior.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_a_fit_starts_from_its_draws(posterior: Path) -> None:
    told: list[str] = []
    options = FitOptions(grid=8, starts=16, samples=0, posterior=posterior)
    result = fit(
        measured(0.5), "rb2mnf4", options=options, progress=lambda done, total, text: told.append(text)
    )
    assert "Rb2MnF4: starts are draws of a trained posterior." in result.notes
    (first,) = [text for text in told if "first answer" in text]
    assert abs(float(first.split("J1 ")[1].split(" ")[0]) - 0.5) < 0.15
    assert sum(": start " in text for text in told) == 8
    assert result.models["Rb2MnF4"].mean["J1"] == pytest.approx(0.5, abs=0.02)


def test_another_binning_takes_sobol_points(posterior: Path) -> None:
    data = measured(0.5, bins=14)
    result = fit(data, "rb2mnf4", options=FitOptions(grid=8, starts=4, samples=0))
    assert "Rb2MnF4: starts are points that fill the bounds." in result.notes
    with pytest.raises(Exp2SimError, match="not one of Rb2MnF4 and these data"):
        fit(data, "rb2mnf4", options=FitOptions(grid=8, starts=4, posterior=posterior))


def test_damaged_weights_are_refused(posterior: Path, tmp_path: Path) -> None:
    folder = tmp_path / "square"
    folder.mkdir()
    for file in posterior.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "posterior.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(Exp2SimError, match="not the file that the model's card describes"):
        load_posterior(folder)
    (folder / "card.json").write_text("{}")
    with pytest.raises(Exp2SimError, match="no card of a posterior"):
        read_posterior_card(folder)
