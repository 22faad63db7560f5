"""Planes other than h and k, all the way: description, data set, training, and files under other names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import mantid_exp2sim
from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Histogram

TRIANGLE = """
name = "triangle"
[lattice]
a = 4.0
b = 4.0
c = 10.0
gamma = 120.0
[parameters]
J = { value = -1.0, range = [-1.2, -0.8] }
D = { value = -0.1, range = [-0.2, -0.1] }
[[sites]]
name = "M"
ion = "Mn2+"
spin = 1.0
positions = [[0, 0, 0]]
direction = [0, 0, 1]
[[bonds]]
parameter = "J"
shell = 1
[[anisotropy]]
parameter = "D"
axis = [0, 0, 1]
[view]
horizontal = [1, 0, 0]
vertical = [-1, 2, 0]
"""
DATASET = """
name = "planes"
seed = 3
train = 4
validation = 2
test = 2
grid = 8
instrument = "MERLIN"
classes = ["material.toml"]
[binning]
incident_energies = [24.0]
"""
TRAINING = """
kind = "translator"
[data]
folder = "data"
augment = []
[network]
width = 8
blocks = 1
layout = {layout}
[losses]
paired = {{ weight = 1.0 }}
[schedule]
steps = 4
batch = 2
[validation]
checks = 1
count = 2
"""


@dataclass(frozen=True)
class Journey:
    """What is simulated and trained: the bins of a data set, those of one file, and the network's layout."""

    binning: str
    command: str
    layout: str
    head: str = ""


HEXAGONAL = Journey(
    "bins = [12, 12, 8]\nh = [-1.0, 1.0]\nk = [-1.0, 1.0]\nenergy = [0.1, 0.5]\n",
    "--bins 12 12 8 --h -1 1 --k -1 1 --energy 2.4 12",
    '{ dimension = 2, energy = "channels", windows = 8 }',
)
SLICE = Journey(
    'axes = ["[H,H,0]", "[0,0,L]"]\nthird = [-0.1, 0.1]\n'
    "bins = [16, 1, 16]\nh = [-1.0, 1.0]\nk = [0.8, 1.2]\nenergy = [0.1, 0.5]\n",
    "--axes [H,H,0] [0,0,L] --psi 0 120 --third -0.1 0.1 --bins 16 1 16 --h -1 1 --k 0.8 1.2 --energy 2.4 12",
    '{ dimension = 2, energy = "axis" }',
    "scan = { psi = [0, 120] }\n",
)
POWDER = Journey(
    "bins = [16, 1, 16]\nh = [0.5, 3.7]\nk = [0.0, 1.0]\nenergy = [0.1, 0.5]\n",
    "--powder --bins 16 1 16 --h 0.5 3.7 --energy 2.4 12",
    '{ dimension = 2, energy = "axis" }',
    "powder = true\n",
)


def travel(folder: Path, journey: Journey) -> Path:
    """Simulate a data set, train on it and make the model ``tiny``, all by commands."""
    (folder / "material.toml").write_text(TRIANGLE)
    (folder / "set.toml").write_text(journey.head + DATASET + journey.binning)
    (folder / "train.toml").write_text(TRAINING.format(layout=journey.layout))
    assert main(["simulate", "dataset", "set.toml", "--out", "data", "--processes", "1"]) == 0
    assert main(["train", "train.toml", "--out", "run"]) == 0
    assert main(["bundle", "tiny", "--translator", "run", "--dataset", "data"]) == 0
    simulate(folder, journey, "file.nxs")
    return folder


def simulate(folder: Path, journey: Journey, name: str, *more: str) -> Histogram:
    words = [
        "simulate",
        "spectrum",
        "--overwrite",
        name,
        "--description",
        "material.toml",
        "--instrument",
        "MERLIN",
    ]
    options = ["--incident-energy", "24", "--grid", "8", *journey.command.split(), *more]
    assert main([*words, *options]) == 0
    return mantid_exp2sim.load(folder / name)


def deconvolve(name: str) -> Histogram:
    assert main(["deconvolve", "--overwrite", name, "result.npz", "--model", "tiny"]) == 0
    return mantid_exp2sim.load("result.npz")


def renamed(histogram: Histogram, *axes: Axis) -> Histogram:
    return Histogram.from_arrays(
        histogram.intensity, axes, histogram.variance, histogram.mask, metadata=histogram.metadata
    )


@pytest.fixture(scope="module")
def hexagonal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hexagonal")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return travel(folder, HEXAGONAL)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slices")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return travel(folder, SLICE)


def test_a_hexagonal_material_goes_from_its_description_to_a_result(
    hexagonal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hexagonal)
    card = mantid_exp2sim.load_model("tiny").card
    assert (card.projection.names, card.instrument["name"]) == (("[H,0,0]", "[-K,2K,0]"), "MERLIN")
    data = mantid_exp2sim.load("file.nxs")
    result = deconvolve("file.nxs")
    assert [axis.name for axis in result.axes] == ["[H,0,0]", "[-K,2K,0]", "DeltaE"]
    assert np.array_equal(np.isnan(result.intensity), data.mask)
    lattice = {"a": 4.0, "b": 4.0, "c": 10.0, "alpha": 90.0, "beta": 90.0, "gamma": 120.0}
    assert data.metadata["lattice"] == result.metadata["lattice"] == lattice


def test_names_scales_senses_and_order_do_not_matter(
    hexagonal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the direction is twice the coordinate; the opposite one runs backwards."""
    monkeypatch.chdir(hexagonal)
    data, result = mantid_exp2sim.load("file.nxs"), deconvolve("file.nxs")
    h, k, energy = data.axes
    other = renamed(
        data,
        Axis("['zeta', 0, 0]", h.edges, unit="in 1.814 A^-1", frame="HKL"),
        Axis("[-0.5K,K,0]", 2 * k.edges, unit="r.l.u.", frame="HKL"),
        energy,
    ).transpose("DeltaE", "[-0.5K,K,0]", "h")
    mantid_exp2sim.save(other, "other.nxs")
    turned = deconvolve("other.nxs")
    assert pytest.approx(result.intensity, rel=1e-5, nan_ok=True) == turned.intensity.T
    backwards = Histogram.from_arrays(
        data.intensity[:, ::-1],
        (h, Axis("[K,-2K,0]", -k.edges[::-1], unit="r.l.u.", frame="HKL"), energy),
        data.variance[:, ::-1],
        data.mask[:, ::-1],
        metadata=data.metadata,
    )
    mantid_exp2sim.save(backwards, "backwards.nxs")
    assert deconvolve("backwards.nxs").intensity[:, ::-1] == pytest.approx(
        result.intensity, rel=1e-5, nan_ok=True
    )


def test_other_directions_are_refused_with_both(
    hexagonal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(hexagonal)
    data = mantid_exp2sim.load("file.nxs")
    square = renamed(data, data.axes[0], Axis("[0,K,0]", data.axes[1].edges, "r.l.u.", "HKL"), data.axes[2])
    mantid_exp2sim.save(square, "square.nxs")
    assert main(["deconvolve", "square.nxs", "no.npz", "--model", "tiny"]) == 2
    text = capsys.readouterr().err
    assert "[0,K,0]" in text
    assert "[H,0,0], [-K,2K,0] and DeltaE" in text
    assert not Path("no.npz").exists()


def test_an_export_keeps_lattice_labels_and_directions(
    hexagonal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mantid's, Horace's and SpinW's files come back onto the same axes, with the same numbers."""
    monkeypatch.chdir(hexagonal)
    assert main(["data", "export", "data", "exports"]) == 0
    for path in sorted(Path("exports/convolved").iterdir()):
        assert mantid_exp2sim.load(path).metadata["lattice"]["gamma"] == 120.0
    Path("build.toml").write_text(
        'name = "again"\npairs = true\ninstrument = "MERLIN"\n'
        "[projection]\nfirst = [1, 0, 0]\nsecond = [-1, 2, 0]\n"
        "[axes.h]\nwidth = 0.16666666666666666\nrange = [-1.0, 1.0]\n"
        "[axes.k]\nwidth = 0.16666666666666666\nrange = [-1.0, 1.0]\n"
        "[axes.energy]\nwidth = 1.2\nrange = [2.4, 12.0]\n"
        '[labels]\nsource = "file"\nfile = "exports/labels.csv"\n'
        '[[convolved]]\nfiles = ["exports/convolved"]\nincident_energy = 24.0\n'
        '[[integrated]]\nfiles = ["exports/integrated"]\nincident_energy = 24.0\n'
    )
    assert main(["data", "build", "build.toml", "--out", "again"]) == 0
    from mantid_exp2sim.training.datasets.dataset import open_dataset
    from mantid_exp2sim.training.datasets.description import DatasetDescription
    from mantid_exp2sim.training.datasets.resolution import where_measured

    built = DatasetDescription.read(Path("again"))
    assert not built.refused
    assert built.projection.names == ("[H,0,0]", "[-K,2K,0]")
    instrument, lengths = where_measured(built)
    assert instrument.name == "MERLIN"
    assert lengths == pytest.approx((4 * np.sqrt(0.75), 2.0))  # 2π/|a*| and 2π/|2b* − a*|
    items = built.domains["integrated"].items
    number = next(i for i, item in enumerate(items) if item.file == "triangle-00002.mat")
    simulated = open_dataset(Path("data"))
    before = simulated.read("integrated", np.array([2]))[0][~simulated.mask]
    after = open_dataset(Path("again")).read("integrated", np.array([number]))[0][~simulated.mask]
    assert before.max() > 10
    assert after == pytest.approx(before, rel=1e-4, abs=1e-4 * float(before.max()))


def test_a_slice_along_hh0_takes_the_names_of_cutmd(slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(slices)
    data, result = mantid_exp2sim.load("file.nxs"), deconvolve("file.nxs")
    q, along_l, energy = data.axes
    assert [axis.name for axis in data.axes] == ["[H,H,0]", "[0,0,L]", "DeltaE"]
    cut = Histogram.from_arrays(
        data.intensity.transpose(2, 0, 1)[..., None],
        (
            energy,
            Axis("['zeta', 'zeta', 0]", q.edges, unit="in 3.142 A^-1", frame="HKL"),
            Axis("[0, 0, 'xi']", along_l.edges, unit="in 0.628 A^-1", frame="HKL"),
            Axis("['-eta', 'eta', 0]", np.array([-0.1, 0.1]), unit="in 1.814 A^-1", frame="HKL"),
        ),
        metadata={"incident_energy": 24.0},
    )
    mantid_exp2sim.save(cut, "cut.nxs")
    turned = deconvolve("cut.nxs")
    assert turned.shape == (16, 16, 1, 1)
    assert pytest.approx(result.intensity[:, 0], rel=1e-5, nan_ok=True) == turned.intensity[:, :, 0, 0].T


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--k", "-0.2", "0.2"), r"'\[0,0,L\]' has one bin from -0.2 to 0.2"),
        (("--third", "-0.6", "0.6"), r"integrated over \[H,-H,0\] from -0.6 to 0.6"),
    ],
)
def test_a_slice_elsewhere_is_refused(
    slices: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(slices)
    elsewhere = simulate(slices, SLICE, "elsewhere.nxs", *change)
    with pytest.raises(Exp2SimError, match=message):
        mantid_exp2sim.load_model("tiny").deconvolve(elsewhere)


def test_a_powder_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    travel(tmp_path, POWDER)
    data, result = mantid_exp2sim.load("file.nxs"), deconvolve("file.nxs")
    assert [axis.name for axis in data.axes] == ["|Q|", "DeltaE"] == [axis.name for axis in result.axes]
    other = renamed(data, Axis("|Q|", data.axes[0].edges, unit="Angstrom^-1"), data.axes[1])
    mantid_exp2sim.save(other, "other.nxs")
    assert deconvolve("other.nxs").intensity == pytest.approx(result.intensity, rel=1e-5, nan_ok=True)
    assert json.loads(Path("data/dataset.json").read_text())["projection"]["powder"] is True
