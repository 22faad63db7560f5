"""A small model with a calibrated domain: blurred against sharp bumps, two incident energies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest
from pydantic import JsonValue
from scipy.ndimage import gaussian_filter

from mantid_exp2sim.application.model import Model, load_model
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import AcceptedAxis, Card
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import GeneratorSettings, build_generator
from mantid_exp2sim.networks.layout import Layout

SHAPE = (2, 12, 12, 3)
ENERGIES = (25.0, 35.0)
SPLITS = {"train": (0, 140), "validation": (140, 260), "test": (260, 340)}


def spectra(count: int, rng: np.random.Generator, blur: float) -> np.ndarray:
    """Bumps at random places on a level of their own, falling with energy."""
    noise = rng.gamma(1.5, 0.7, size=(count, *SHAPE)) * np.array([3.0, 2.0, 1.0])
    sharp = gaussian_filter(noise, (0, 0, 0.7, 0.7, 0))
    return gaussian_filter(sharp, (0, 0, blur, blur, 0)) if blur else sharp


@pytest.fixture(scope="session")
def domain_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "bumps"
    (folder / "shards").mkdir(parents=True)
    rng = np.random.default_rng(3)
    count = SPLITS["test"][1]
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0, 4:7, 3:5] = True
    mask[1, :3, :, 2] = True
    np.save(folder / "mask.npy", mask)
    sharp = spectra(count, rng, 0.0)
    with h5py.File(folder / "shards" / "00000.h5", "w") as file:
        file["integrated"] = sharp.astype(np.float32)
        file["convolved"] = gaussian_filter(sharp, (0, 0, 0.9, 0.9, 0)).astype(np.float32)
        file["label"] = np.arange(count) % 2
        file["index"] = np.arange(count)
    description = {
        "format": 1, "recipe": {"name": "bumps"}, "classes": ["A", "B"], "kinds": ["convolved", "integrated"],
        "shape": list(SHAPE), "incident_energies": list(ENERGIES), "count": count, "shard_size": count,
        "splits": {name: list(part) for name, part in SPLITS.items()},
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def _card(name: str, layout: Layout) -> Card:
    fixed = (0.1, 0.3, 0.5, 0.7) if layout.energy == "channels" else ()
    widths: dict[Literal["h", "k", "energy"], float] = {"h": 0.1, "k": 0.1, "energy": 0.2}
    axes = tuple(
        AcceptedAxis(
            kind=kind,
            width=width,
            relative_to_incident_energy=kind == "energy",
            edges=fixed if kind == "energy" else (),
            integrated=(width / 2, 2 * width) if kind in layout.folded else None,
        )
        for kind, width in widths.items()
    )
    noise: dict[str, JsonValue] = {"counting": [0.0, 0.02], "background": 0.1}
    stage: JsonValue = {"data": {"noise": noise, "intensity_jitter": 0.1, "augment": ["h"]}}
    return Card(
        name=name, scaling=Scaling(intensity_scale=2.0), layout=layout, axes=axes, incident_energies=ENERGIES,
        generator=GeneratorSettings(width=8, blocks=1),
        mean_intensity=2.0, training={"recipes": {"translator": [stage]}},
    )  # fmt: skip


LAYOUTS = {
    "mosaic": Layout(dimension=2, energy="channels", windows=3),
    "volumes": Layout(dimension=3, energy="axis"),
    "cuts": Layout(dimension=1, energy="channels", windows=3),
    "rows": Layout(dimension=1, energy="separate"),
}


@pytest.fixture(scope="session")
def plain_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models in 1D, 2D and 3D without a reference of their domain."""
    import torch

    folder = tmp_path_factory.mktemp("plain")
    for name, layout in LAYOUTS.items():
        torch.manual_seed(1)
        card = _card(name, layout)
        networks = {role: build_generator(card.generator, layout) for role in ("deconvolve", "convolve")}
        save_bundle(folder / name, card, networks)
    return folder


@pytest.fixture(scope="session")
def domain_models(plain_models: Path, domain_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one."""
    import shutil

    from mantid_exp2sim.training.calibration.domain_reference import add_domain
    from mantid_exp2sim.training.calibration.spectra import Settings

    folder = Path(shutil.copytree(plain_models, tmp_path_factory.mktemp("models") / "all"))
    for name in LAYOUTS:
        model = load_bundle(folder / name)
        add_domain(model, domain_dataset, settings=Settings.of(model.card, foreign=8, points=16))
    return folder


@pytest.fixture
def model(domain_models: Path) -> Model:
    return load_model(domain_models / "mosaic")


def volume(values: np.ndarray, mask: np.ndarray, energy: float) -> Histogram:
    axes = (
        Axis("[H,0,0]", 0.1 * np.arange(values.shape[0] + 1) - 0.6, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", 0.1 * np.arange(values.shape[1] + 1) - 0.6, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", energy * (0.1 + 0.2 * np.arange(values.shape[2] + 1)), unit="meV"),
    )
    return Histogram.from_arrays(values, axes, np.abs(values), mask, metadata={"incident_energy": energy})


@pytest.fixture
def make_volume() -> Callable[..., Histogram]:
    return volume


@pytest.fixture(scope="session")
def inside(domain_dataset: Path) -> list[Histogram]:
    """Measurement-like volumes of the test split, at 25 meV."""
    return _read(domain_dataset, "convolved")


@pytest.fixture(scope="session")
def wrong_kind(domain_dataset: Path) -> list[Histogram]:
    return _read(domain_dataset, "integrated")


def _read(folder: Path, kind: str) -> list[Histogram]:
    from mantid_exp2sim.training.datasets.dataset import open_dataset

    data = open_dataset(folder)
    return [volume(x[0].astype(float), data.mask[0], 25.0) for x in data.read(kind, data.split("test"))]


@pytest.fixture
def foreign(inside: list[Histogram]) -> Histogram:
    """A chess board of the same mean."""
    one = inside[0]
    board = np.indices(one.shape).sum(axis=0) % 2 * 2.0 * float(np.nanmean(one.intensity))
    return one.replace(intensity=np.where(one.mask, np.nan, board))
