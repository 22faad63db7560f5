"""Small data sets from files, and recipes of what is trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim import save
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.training.config import DataSettings, TranslatorConfig
from mantid_exp2sim.training.datasets.dataset import DataSet, FileSet, open_dataset
from mantid_exp2sim.training.datasets.from_files.build import build_dataset
from mantid_exp2sim.training.datasets.sampler import Domain, choose_scaling
from mantid_exp2sim.training.recipe_file import read_recipe
from mantid_exp2sim.training.trainers.bundle import make_bundle
from mantid_exp2sim.training.trainers.train import TranslatorData, read_translator_data

SHAPE = (12, 10, 4)
RECIPE = """
name = "mine"
seed = 1
{top}
[axes.h]
width = 0.2
range = [-1.2, 1.2]
[axes.k]
width = 0.2
range = [-1.0, 1.0]
[axes.energy]
width = 0.1
range = [0.1, 0.5]
relative_to_incident_energy = true
[split]
validation = 0.2
test = 0.1
[labels]
source = "file"
file = "labels.csv"
[[convolved]]
files = ["measured"]
{more}
[[integrated]]
files = ["simulated"]
"""
GAN = """
kind = "translator"
[data]
folder = "{folder}"
{data}
[network]
width = 4
blocks = 1
discriminator_width = 4
projection_width = 4
layout = {layout}
[losses]
{losses}
[schedule]
steps = 3
batch = 4
[validation]
checks = 1
count = 4
[run]
{run}
"""
DUAL_GAN = """
adversarial = { weight = 1.0, kind = "least_squares" }
contrastive = { weight = 0.1, patches = 8 }
identity = { weight = 1.0 }
auxiliary = { weight = 0.1 }
cycle = { weight = 5.0 }
flux = { weight = 1.0 }
"""
PAIRED = "paired = { weight = 1.0 }"
CHANNELS = '{ dimension = 2, energy = "channels", windows = 4 }'
CUBES = '{ dimension = 3, energy = "axis" }'


def volume(
    seed: int, *, ei: float = 50.0, shape: tuple[int, int, int] = SHAPE, centre: float = 0.0
) -> Histogram:
    rng = np.random.default_rng(seed)
    h, k = (np.arange(n + 1.0) * 0.2 - 0.1 * n + centre for n in shape[:2])
    energy = np.linspace(0.1, 0.1 + 0.1 * shape[2], shape[2] + 1) * ei
    axes = (
        Axis("[H,0,0]", h, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", k, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", energy, unit="meV", frame="General Frame"),
    )
    mask = np.zeros(shape, bool)
    mask[seed % 4 : seed % 4 + 2] = True
    return Histogram.from_arrays(rng.gamma(2, 1, shape), axes, mask=mask, metadata={"incident_energy": ei})


def build(folder: Path, *, top: str = "", more: str = "", measured: int = 5, simulated: int = 9) -> Path:
    rows = ["file,class"]
    for name, count in (("measured", measured), ("simulated", simulated)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            ei = (50.0, 70.0)[number % 2]
            save(volume(number + 50 * (name == "simulated"), ei=ei), folder / name / f"{number}.npz")
    rows += [f"{number},{'AB'[number // 2 % 2]}" for number in range(simulated)]
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "recipe.toml").write_text(RECIPE.format(top=top, more=more))
    build_dataset(folder / "recipe.toml", folder / "set")
    return folder / "set"


def gan_recipe(
    path: Path, folder: Path, *, data: str = "", layout: str = CHANNELS, losses: str = DUAL_GAN, run: str = ""
) -> Path:
    path.write_text(GAN.format(folder=folder, data=data, layout=layout, losses=losses, run=run))
    return path


def bundle(room: Path, run: str, dataset: Path) -> None:
    """Make the model ``mine`` of a run of a translator."""
    make_bundle(room / "model", name="mine", translators=[room / run], classifiers={}, dataset=dataset)


def open_data(recipe: Path, folder: Path) -> TranslatorData:
    """Read what a recipe of a translator is trained on."""
    (config,) = read_recipe(recipe)
    assert isinstance(config, TranslatorConfig)
    return read_translator_data(open_dataset(folder), config, recipe)


def domain(
    folder: Path,
    *,
    kind: str = "convolved",
    other: str | None = None,
    batch: int = 6,
    seed: int = 1,
    whole: bool = False,
    **settings: Any,
) -> Domain:
    dataset = open_dataset(folder)
    data = DataSettings(folder=folder, **{"augment": (), **settings})
    indices = dataset.split("train", kind=kind)
    scaling = choose_scaling(dataset, kind=kind, indices=indices)
    return Domain(
        dataset,
        data,
        kind=kind,
        other=other,
        indices=indices,
        scaling=scaling,
        batch=batch,
        seed=seed,
        stream=0,
        whole=whole,
    )


def file_set(folder: Path) -> FileSet:
    """Open a data set that is of files."""
    return of_files(open_dataset(folder))


def of_files(dataset: DataSet) -> FileSet:
    """Say that a data set is of files."""
    assert isinstance(dataset, FileSet)
    return dataset
