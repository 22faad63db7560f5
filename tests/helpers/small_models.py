"""Small models with random weights, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim import mosaic
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.model.bundle import load_bundle, save_bundle
from mantid_exp2sim.model.card import AcceptedAxis, mosaic_axes
from mantid_exp2sim.networks import GeneratorSettings
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.datasets.description import accepted_axes
from tests.helpers.models import tiny_card, tiny_networks

MakeModel = Callable[..., Model]


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: mosaics (windows as channels), slices, volumes and the paper's network."""
    folder = tmp_path_factory.mktemp("models")
    free = mosaic_axes(windows_fixed=False)
    bare: dict[str, Any] = {"classes": (), "classifiers": {}}
    slices = tuple(
        AcceptedAxis(**{**axis.model_dump(), "integrated": (0.05, 2.1) if axis.kind == "k" else None})
        for axis in free
    )
    cuts = accepted_axes((), {}, windows_fixed=False, alone=("h", "k", "energy"))
    cards = [
        tiny_card("tiny"),
        tiny_card("tiny-cuts", layout=Layout(dimension=1, energy="separate"), axes=cuts, **bare),
        tiny_card("tiny-separate", layout=Layout(energy="separate"), axes=free, **bare),
        tiny_card("tiny-slices", layout=Layout(energy="axis"), axes=slices, **bare),
        tiny_card("tiny-3d", layout=Layout(dimension=3, energy="axis"), axes=free, **bare),
        tiny_card("tiny-paper", generator=GeneratorSettings(preset="paper", width=2, blocks=1), **bare),
    ]
    for card in cards:
        save_bundle(folder / card.name, card, tiny_networks(card))
    return folder


@pytest.fixture
def make_model(models_folder: Path) -> MakeModel:
    return lambda name="tiny": Model(load_bundle(models_folder / name))


@pytest.fixture
def model(make_model: MakeModel) -> Model:
    return make_model()


@pytest.fixture
def bundle_copy(models_folder: Path, tmp_path: Path) -> Path:
    """A model of one's own to damage."""
    import shutil

    return Path(shutil.copytree(models_folder / "tiny", tmp_path / "tiny"))


@pytest.fixture
def picture() -> Histogram:
    """A noisy mosaic with gaps: a masked column of panels' parts, single bins and one whole panel."""
    rng = np.random.default_rng(5)
    intensity = rng.gamma(1.0, 8.0, (240, 400))
    mask = rng.random((240, 400)) < 0.1
    mask[40:80, 80:120] = True
    mask[100:110, :] = True
    return mosaic.mosaic_histogram(intensity, variance=0.7 * intensity, mask=mask, metadata={"title": "test"})


@pytest.fixture
def cut() -> Callable[..., Histogram]:
    """Cuts along one axis of a histogram at ``places`` on the others, of which nothing is left."""

    def cut(of: Histogram, axis: int, *places: int) -> Histogram:
        at: list[int | slice] = list(places)
        at.insert(axis, slice(None))
        place = tuple(at)
        axes = (of.axes[axis],)
        return Histogram(of.intensity[place], of.variance[place], of.mask[place], axes, of.metadata)

    return cut


@pytest.fixture
def volume(picture: Histogram) -> Histogram:
    return mosaic.split(picture)[2]


def _free_volume(shape: tuple[int, int, int], seed: int = 0) -> Histogram:
    rng = np.random.default_rng(seed)
    q = 2 / 39
    axes = (
        Axis("[H,0,0]", q * np.arange(shape[0] + 1.0) - 1, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", q * np.arange(shape[1] + 1.0) - 1, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", 50 * 0.06 * np.arange(1.0, shape[2] + 2), unit="meV", frame="General Frame"),
    )
    mask = rng.random(shape) < 0.1
    intensity = rng.gamma(1.0, 8.0, shape)
    return Histogram.from_arrays(intensity, axes, intensity, mask, metadata={"incident_energy": 50.0})


@pytest.fixture
def free_volume() -> Callable[..., Histogram]:
    """A volume of any size in the models' bin widths, at 50 meV."""
    return _free_volume
