"""What the tests of the algorithms share. They run on a real Mantid if there is one, else on the stand-in."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

if importlib.util.find_spec("mantid") is None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "mantid_double"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a real Mantid may warn while it is imported
    import mantid
    from mantid.kernel import config

    config["user.python.plugins.directories"] = ""  # nothing of what this machine has installed
    import mantid.simpleapi

import mantid_exp2sim
from mantid_exp2sim import mosaic
from mantid_exp2sim.model import bundle
from mantid_exp2sim.model.card import AcceptedAxis, Card, ClassifierCard, mosaic_axes
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks import ClassifierSettings, GeneratorSettings
from mantid_exp2sim.networks.layout import Layout

REAL = "mantid_double" not in Path(mantid.__file__).parts


def pytest_collection_modifyitems(items: Any) -> None:
    """A warning of a real Mantid is no failure of ours."""
    for item in items:
        if REAL and Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("default"))


def _card(name: Any, **changes: Any) -> Any:
    settings = {
        "name": name,
        "description": "Random weights, for tests.",
        "scaling": Scaling(intensity_scale=5.0),
        "layout": Layout(dimension=3, energy="axis"),
        "axes": mosaic_axes(windows_fixed=False),
        "incident_energies": mosaic.INCIDENT_ENERGIES,
        "mean_intensity": 7.0,
        "generator": GeneratorSettings(width=4, blocks=1),
    }
    return Card(**{**settings, **changes})


def _cards() -> Any:
    """Models for volumes, for slices (k integrated), for single windows, and for whole measurements."""
    slices = tuple(
        AcceptedAxis(**{**axis.model_dump(), "integrated": (0.01, 2.1) if axis.kind == "k" else None})
        for axis in mosaic_axes(windows_fixed=False)
    )
    flat = tuple(
        AcceptedAxis(**{**axis.model_dump(), "integrated": (0.01, 0.2) if axis.kind == "energy" else None})
        for axis in mosaic_axes(windows_fixed=False)
    )
    small: dict[str, Any] = {"width": 4, "features": 8, "centroid": 4}
    return (
        _card("volumes"),
        _card("slices", layout=Layout(dimension=2, energy="axis"), axes=slices),
        _card("windows", layout=Layout(dimension=2, energy="separate"), axes=flat),
        _card(
            "whole",
            layout=Layout(windows=10),
            axes=mosaic_axes(),
            classes=("Dimer", "Goodenough"),
            classifiers={
                "integrated": ClassifierCard(network=ClassifierSettings(panels=60, **small), threshold=0.0),
                "convolved": ClassifierCard(network=ClassifierSettings(panels=10, **small), threshold=0.0),
            },
        ),
    )


def _networks(card: Card) -> dict[str, Any]:
    import torch

    from mantid_exp2sim.networks import build_classifier, build_generator

    torch.manual_seed(3)
    networks: dict[str, Any] = {
        role: build_generator(card.generator, card.layout) for role in ("deconvolve", "convolve")
    }
    for generator in networks.values():
        for name, parameter in generator.named_parameters():
            if name.startswith("last"):
                torch.nn.init.normal_(parameter, std=0.05)
    for domain, classifier in card.classifiers.items():
        network = build_classifier(classifier.network)
        network.length_scale.fill_(3.0)
        networks[f"classifier_{domain}"] = network
    return networks


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    for card in _cards():
        bundle.save_bundle(folder / card.name, card, _networks(card))
    return folder


@pytest.fixture(autouse=True)
def api(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The algorithms, registered, with the models above installed; nothing else in the data service."""
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))
    mantid_exp2sim.register_algorithms()
    from mantid import simpleapi

    simpleapi.mtd.clear()
    yield simpleapi
    simpleapi.mtd.clear()


H, K, E = 12, 9, 7
ENERGY = 50.0


def _limits(axis: Any, n: Any) -> Any:
    if axis == "DeltaE":
        return 0.10 * ENERGY, (0.10 + 0.06 * n) * ENERGY
    return -n / 39, n / 39


NAMES = {"h": "[H,0,0]", "k": "[0,K,0]", "l": "[0,0,L]", "e": "DeltaE"}


@pytest.fixture
def make(api: Any) -> Any:
    """make("hke", name="ws"): a workspace with the axes in this order; capitals are integrated (one bin)."""

    def build(
        order: str = "hke",
        *,
        name: str = "ws",
        seed: int = 1,
        energy: Any = ENERGY,
        logged: bool = True,
        limits: Any = None,
        units: Any = None,
        sizes: Any = None,
    ) -> Any:
        shape, extents, names = [], [], []
        for letter in order:
            title = NAMES[letter.lower()]
            n = 1 if letter.isupper() or letter == "l" else {"h": H, "k": K, "e": E, **(sizes or {})}[letter]
            low, high = (limits or {}).get(letter.lower(), _limits(title, n))
            shape.append(n)
            names.append(title)
            extents += (
                [low * energy / ENERGY, high * energy / ENERGY] if letter.lower() == "e" else [low, high]
            )
        rng = np.random.default_rng(seed)
        signal = rng.gamma(1.0, 8.0, shape)
        workspace = api.CreateMDHistoWorkspace(
            SignalInput=signal.ravel(order="F"),
            ErrorInput=np.sqrt(0.7 * signal).ravel(order="F"),
            Dimensionality=len(shape),
            Extents=extents,
            NumberOfBins=shape,
            Names=names,
            Units=[(units or {}).get(n, "meV" if n == "DeltaE" else "r.l.u.") for n in names],
            Frames=["General Frame" if n == "DeltaE" else "HKL" for n in names],
            OutputWorkspace=name,
        )
        if logged:
            _add_energy(api, workspace, energy)
        return api.mtd[name]

    return build


@pytest.fixture
def add_energy(api: Any) -> Any:
    """add_energy(workspace, 70.0): one more run, with the sample log Ei."""
    return lambda workspace, energy: _add_energy(api, workspace, energy)


def _child(name: Any, **properties: Any) -> Any:
    """The output of an algorithm, in no data service."""
    from mantid.api import AlgorithmManager

    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    algorithm.setChild(True)
    for key, value in {"OutputWorkspace": "unused", **properties}.items():
        algorithm.setProperty(key, value)
    algorithm.execute()
    return algorithm.getProperty("OutputWorkspace").value


def _add_energy(api: Any, workspace: Any, energy: Any) -> None:
    """The workspace gets Mantid's copy of the runs: older versions die with a run that belongs to Python."""
    run = _child("CreateWorkspace", DataX=[0.0, 1.0], DataY=[0.0])
    run.run().addProperty("Ei", float(energy), "meV", True)
    carrier = _child("CloneMDWorkspace", InputWorkspace=workspace)
    carrier.addExperimentInfo(run)
    workspace.copyExperimentInfos(carrier)


@pytest.fixture
def binned(api: Any, tmp_path: Path) -> Any:
    """binned(flag=1): events as BinMD leaves them, some bins empty, under this display normalisation."""

    def build(name: str = "events", count: int = 400, flag: int = 2) -> Any:
        limits = [_limits(t, n) for t, n in (("h", 8), ("k", 6), ("DeltaE", 5))]
        api.CreateMDWorkspace(
            Dimensions=3,
            Extents=[value for pair in limits for value in pair],
            Names=["[H,0,0]", "[0,K,0]", "DeltaE"],
            Units=["r.l.u.", "r.l.u.", "meV"],
            Frames=["HKL", "HKL", "General Frame"],
            OutputWorkspace="md_events",
        )
        api.FakeMDEventData(InputWorkspace="md_events", UniformParams=[count], RandomSeed=4)
        aligned = {
            f"AlignedDim{i}": f"{title},{low},{high},{n}"
            for i, ((low, high), title, n) in enumerate(
                zip(limits, ("[H,0,0]", "[0,K,0]", "DeltaE"), (8, 6, 5), strict=True)
            )
        }
        api.BinMD(InputWorkspace="md_events", OutputWorkspace=name, **aligned)
        api.DeleteWorkspace("md_events")
        path = str(tmp_path / f"{name}.nxs")
        api.SaveMD(InputWorkspace=name, Filename=path)
        with h5py.File(path, "a") as file:  # Python cannot set the flag of a workspace
            file["MDHistoWorkspace/visual_normalization"][...] = flag
        api.LoadMD(Filename=path, OutputWorkspace=name)
        return api.mtd[name]

    return build


class State:
    """All that a workspace holds, as bytes."""

    def __init__(self, workspace: Any) -> None:
        self.arrays = [
            np.array(array, copy=True).tobytes()
            for array in (
                workspace.getSignalArray(),
                workspace.getErrorSquaredArray(),
                workspace.getNumEventsArray(),
            )
        ]
        dimensions = [workspace.getDimension(i) for i in range(workspace.getNumDims())]
        self.axes = [(d.name, d.getUnits(), d.getNBins(), d.getMinimum(), d.getMaximum()) for d in dimensions]
        self.history = len(workspace.getHistory().getAlgorithmHistories())

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def state() -> Any:
    return State
