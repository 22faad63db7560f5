"""A small made-up data set in the layout of the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import write_dataset
from tests.helpers.file_sets import build


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a data set of 28 mosaics of two volumes of 8×8×3 bins."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def paired_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a data set from files, of pairs of 12×10×4 bins at two incident energies."""
    return build(tmp_path_factory.mktemp("paired"), top="pairs = true", more="measurement = true")


@pytest.fixture(scope="session")
def unpaired_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a data set from files without pairs; its measurement-like files have no labels."""
    return build(tmp_path_factory.mktemp("unpaired"), more="labelled = false")


GAN_RECIPE = """
kind = "translator"
[data]
folder = "{folder}"
noise = {{ counting = [0.0, 0.1] }}
[network]
width = 6
blocks = 1
discriminator_width = 4
projection_width = 8
layout = {{ dimension = 2, energy = "channels", windows = 3 }}
[losses]
{losses}
[optimiser]
learning_rate = 1e-3
ema = 0.9
[schedule]
steps = {steps}
batch = 3
[validation]
checks = {checks}
count = 4
[run]
seed = 5
"""
DUAL_GAN = """
adversarial = { weight = 1.0, kind = "least_squares" }
contrastive = { weight = 0.1, patches = 16 }
identity = { weight = 1.0 }
auxiliary = { weight = 0.1 }
cycle = { weight = 5.0 }
flux = { weight = 1.0 }
"""

DUQ_RECIPE = """
kind = "classifier"
[data]
folder = "{folder}"
kind = "integrated"
[network]
width = 8
[losses]
{losses}
[outliers]
share = 0.5
[optimiser]
learning_rate = 5e-4
clip = 1.0
betas = [0.9, 0.99]
ema = 0.9
[schedule]
steps = {steps}
batch = 8
warmup = 10
[validation]
checks = {checks}
[run]
seed = 5
"""
PENALISED = "gradient_penalty = { weight = 0.1 }"


@pytest.fixture
def gan_recipe(tiny_dataset: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a recipe for a tiny dual GAN, or for other losses."""

    def write(*, steps: int = 12, checks: int = 1, losses: str = DUAL_GAN) -> Path:
        path = tmp_path / "gan.toml"
        path.write_text(GAN_RECIPE.format(folder=tiny_dataset, steps=steps, checks=checks, losses=losses))
        return path

    return write


@pytest.fixture
def duq_recipe(tiny_dataset: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a recipe for a tiny classifier."""

    def write(*, steps: int = 12, checks: int = 1, losses: str = PENALISED) -> Path:
        path = tmp_path / "duq.toml"
        path.write_text(DUQ_RECIPE.format(folder=tiny_dataset, steps=steps, checks=checks, losses=losses))
        return path

    return write


@pytest.fixture
def tiny_model(tmp_path: Path) -> Any:
    """Folder of an untrained model for the tiny data set: members in one direction, and one classifier."""
    import torch

    from mantid_exp2sim.model.bundle import save_bundle
    from mantid_exp2sim.model.card import AcceptedAxis, Card, ClassifierCard
    from mantid_exp2sim.model.scaling import Scaling
    from mantid_exp2sim.networks import GeneratorSettings, build_classifier, build_generator
    from mantid_exp2sim.networks.layout import Layout
    from mantid_exp2sim.networks.settings import ClassifierSettings

    layout = Layout(windows=3)
    generator = GeneratorSettings(width=4, blocks=1)
    classifier = ClassifierSettings(panels=6, width=8, grid=4, features=32)
    card = Card(
        name="tiny",
        scaling=Scaling(),
        layout=layout,
        axes=(
            AcceptedAxis(kind="h", width=0.1),
            AcceptedAxis(kind="k", width=0.1),
            AcceptedAxis(kind="energy", width=1.0, edges=(0.0, 1.0, 2.0, 3.0)),
        ),
        incident_energies=(25.0, 35.0),
        generator=generator,
        classes=("Dimer", "Goodenough"),
        classifiers={"integrated": ClassifierCard(network=classifier)},
    )
    torch.manual_seed(0)
    keys = ("deconvolve", "deconvolve-2", "convolve")
    networks: dict[str, torch.nn.Module] = {key: build_generator(generator, layout) for key in keys}
    networks["classifier_integrated"] = build_classifier(classifier)
    save_bundle(tmp_path / "tiny", card, networks)
    return tmp_path / "tiny"
