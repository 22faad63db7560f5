"""Spectra of described models: against the manganite's own path, closed forms and brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mantid_exp2sim.cli import main
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io import load
from mantid_exp2sim.simulation import manganite, resolution
from mantid_exp2sim.simulation.binning import KINDS, Binning, Branches
from mantid_exp2sim.simulation.branches import resolution_widths
from mantid_exp2sim.simulation.form_factor import form_factor
from mantid_exp2sim.simulation.instrument import MAPS, kinematics, load_instrument
from mantid_exp2sim.simulation.manganite import ModelName
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import Description, read_description, shipped
from mantid_exp2sim.simulation.measurement import simulate_volume
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.spectrum import solve_material
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError
from mantid_exp2sim.simulation.twins import Plane, make_plane
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe

EDGES = np.linspace(-1, 1, 17)


def rb2mnf4(**changes: Any) -> Description:
    raw = read_description(shipped()["rb2mnf4"]).model_dump(mode="json")
    return Description.model_validate({**raw, **changes})


def ferromagnet(jc: float = -1.0, jab: float = -0.3) -> Description:
    """One site in a tetragonal cell; ω = 2S Σ |J| (1 − cos)."""
    return Description.model_validate(
        {
            "name": "ferromagnet",
            "lattice": {"a": 4.0, "b": 4.0, "c": 4.4},
            "parameters": {"Jc": {"value": jc}, "Jab": {"value": jab}},
            "sites": [
                {"name": "M", "ion": "Mn2+", "spin": 1, "direction": [0, 0, 1], "positions": [[0, 0, 0]]}
            ],
            "bonds": [
                {"parameter": "Jc", "vectors": [[0, 0, 1]]},
                {"parameter": "Jab", "vectors": [[1, 0, 0], [0, 1, 0]]},
            ],
        }
    )


def ferromagnet_energy(qx: np.ndarray, qy: np.ndarray, qz: np.ndarray) -> np.ndarray:
    return np.asarray(2 * ((1 - np.cos(4.4 * qz)) + 0.3 * (2 - np.cos(4 * qx) - np.cos(4 * qy))))


def ferromagnet_intensity(qx: np.ndarray, qy: np.ndarray, qz: np.ndarray) -> np.ndarray:
    """S^xx = S^yy = S/2, so that Σ (δ − q̂q̂) S = (1 + q̂z²) S/2."""
    q = np.sqrt(qx**2 + qy**2 + qz**2)
    return np.asarray(290.6 * form_factor("Mn2+", q) ** 2 * 0.5 * (1 + (qz / q) ** 2))


@pytest.mark.parametrize("model", ["Goodenough", "Dimer"])
def test_described_manganite_has_the_spectra_of_the_built_in_one(model: ModelName) -> None:
    options = Options(grid=12)
    described = solve_material(read_description(shipped()[f"pcsmo-{model.lower()}"]), options=options)
    reduced = solve_manganite(model, manganite.BEST_FIT[model], options)
    binning = Binning(EDGES, EDGES, np.linspace(7, 49, 8), 70.0)
    for kind in KINDS:
        found, wanted = described.volume(binning, kind), reduced.volume(binning, kind)
        assert np.linalg.norm(found - wanted) < 5e-4 * np.linalg.norm(wanted), kind


def test_resolution_keeps_the_total() -> None:
    """Bins that hold the whole band: convolved, integrated and the sum rule agree."""
    waves = solve_material(rb2mnf4(), [0.65, 0.05])
    binning = Binning(EDGES, EDGES, np.linspace(0.3, 8.7, 13), 14.0)
    totals = [waves.volume(binning, kind).sum() for kind in ("convolved", "integrated")]
    assert totals[0] == pytest.approx(totals[1], rel=0.01)
    ratio = waves.volume(binning, "convolved").max() / waves.volume(binning, "integrated").max()
    assert ratio < 0.95  # so that the check can fail


def test_intensity_is_that_of_a_ferromagnet() -> None:
    waves = solve_material(ferromagnet())
    q = np.random.default_rng(0).uniform(0.2, 2.0, (20, 3))
    omega, amplitude = waves.solve(q)
    assert np.allclose(omega[:, 0], ferromagnet_energy(*q.T), atol=1e-6)
    found = waves.intensity(q, amplitude, np.arange(20), np.zeros(20, dtype=int))
    assert np.allclose(found, ferromagnet_intensity(*q.T), rtol=1e-5)


def test_energies_that_depend_on_l_join_those_that_do_not() -> None:
    """A coupling along c of almost nothing: the path for steep branches gives what the flat one gives."""
    tall = {"a": 4.215, "b": 4.215, "c": 6.0}
    flat = rb2mnf4(lattice=tall, parameters={"J1": {"value": 0.65}, "J2": {"value": 0.05}})
    raw = flat.model_dump(mode="json")
    raw["parameters"]["Jc"] = {"value": -1e-7}
    raw["bonds"].append({"parameter": "Jc", "vectors": [[0, 0, 1]]})
    steep = solve_material(Description.model_validate(raw), options=Options(grid=15))
    level = solve_material(flat, options=Options(grid=15))
    assert not steep.is_flat(steep.twins[0])
    assert level.is_flat(level.twins[0])
    binning = Binning(EDGES, EDGES, np.linspace(1.03, 7.92, 8), 20.0)  # no edge where the band is flat
    for kind in KINDS:
        one, other = steep.volume(binning, kind), level.volume(binning, kind)
        assert np.linalg.norm(one - other) < 2e-3 * np.linalg.norm(other), kind


def _crossings(f: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, energies and |slopes| of the zeros of f (n, nE) along energies."""
    row, i = np.nonzero((f[:, :-1] > 0) != (f[:, 1:] > 0))
    a, b = f[row, i], f[row, i + 1]
    step = energies[1] - energies[0]
    return row, energies[i] + step * a / (a - b), np.abs(b - a) / step


def test_steep_branches_are_those_of_brute_force() -> None:
    """Ferromagnet with its largest coupling along the beam: every crossing found by a fine scan in energy."""
    ei, edges = 20.0, np.linspace(-0.8, 0.8, 9)
    binning = Binning(edges, edges, np.linspace(0.5, 6.0, 7), ei)
    waves = solve_material(ferromagnet())
    found = waves.volume(binning, "integrated")
    rng = np.random.default_rng(1)
    n = 60_000
    h, k = rng.uniform(-0.8, 0.8, (2, n))
    qx, qy = 2 * np.pi / 4 * h, 2 * np.pi / 4 * k
    scan = np.linspace(0.5, 6.0, 110)
    along = kinematics(np.hypot(qx, qy)[:, None], scan, ei)[0]
    row, energy, slope = _crossings(scan - ferromagnet_energy(qx[:, None], qy[:, None], along), scan)
    at = kinematics(np.hypot(qx, qy)[row], energy, ei)[0]
    weight = ferromagnet_intensity(qx[row], qy[row], at) / slope
    sample = np.stack([h[row], k[row], energy], 1)
    axes = (edges, edges, binning.energy_edges)
    wanted = np.histogramdd(sample, bins=axes, weights=weight)[0] / (
        n / 64 * np.diff(binning.energy_edges)[0]
    )
    assert found.sum() == pytest.approx(wanted.sum(), rel=0.01)
    assert np.linalg.norm(found - wanted) < 0.06 * np.linalg.norm(wanted)


def test_a_steep_branch_under_the_resolution_is_that_of_the_monte_carlo() -> None:
    """The eleven variables thrown (as Gaussians) for one branch that climbs along the beam."""
    ei, n, chunks, half = 20.0, 4000, 8, 0.13
    binning = Binning(np.array([0.25, 0.35]), np.array([-0.05, 0.05]), np.linspace(0.0, 2.4, 17), ei)
    waves = solve_material(ferromagnet(), options=Options(grid=40))
    found, sharp = (waves.volume(binning, kind)[0, 0] for kind in ("convolved", "integrated"))
    rng, scan, wanted = np.random.default_rng(2), np.linspace(0.0, 3.0, 40), np.zeros(16)
    widths = np.sqrt(resolution.variable_variances(MAPS, ei))
    axes = (binning.h_edges, binning.k_edges, binning.energy_edges)
    for _ in range(chunks):
        qx, qy = (2 * np.pi / 4 * rng.uniform(c - half, c + half, n) for c in (0.3, 0.0))
        matrix = resolution.linear_map(MAPS, qx[:, None], qy[:, None], scan, ei)
        delta = np.einsum("neij,nj->ine", matrix, rng.normal(size=(n, 11)) * widths)
        seen = qx[:, None] + delta[1], qy[:, None] + delta[2]
        true = kinematics(np.hypot(*seen), scan, ei)[0] - delta[0]
        f = scan - ferromagnet_energy(qx[:, None], qy[:, None], true) - delta[3]
        row, energy, slope = _crossings(f, scan)
        i = np.searchsorted(scan, energy) - 1
        weight = ferromagnet_intensity(qx[row], qy[row], true[row, i]) / slope
        sample = np.stack([*(4 / (2 * np.pi) * s[row, i] for s in seen), energy], 1)
        wanted += np.histogramdd(sample, bins=axes, weights=weight)[0][0, 0]
    wanted /= chunks * n * (0.1 / (2 * half)) ** 2 * 0.15
    assert found.sum() == pytest.approx(wanted.sum(), rel=0.05)
    assert np.linalg.norm(found - wanted) < 0.08 * np.linalg.norm(wanted)
    assert np.linalg.norm(sharp - wanted) > 0.3 * np.linalg.norm(wanted)  # so that the check can fail


@pytest.mark.parametrize("slope", [-8.0, 4.0, 30.0])
def test_width_along_the_beam_is_that_of_the_linear_map(slope: float) -> None:
    """(δE − s η) / (1 − s ∂Q∥/∂E) with η = δQ∥ − ∂Q∥/∂Q⊥ δQ⊥, straight from the eleven variables."""
    ei, energy, q = 20.0, 3.0, 0.6
    waves = solve_material(ferromagnet())
    binning = Binning(EDGES, EDGES, np.linspace(1.0, 6.0, 6), ei)
    at = Plane((0, 0), (1, 1), (2 * q, 1e-9), np.zeros((1, 2)), np.zeros(1, dtype=int))
    one = np.ones(1)
    branch = Branches(np.zeros(1, dtype=int), energy * one, one, 0 * one, slope * one)
    (width,), cross = resolution_widths(waves, at, branch, binning)
    along = np.sqrt((ei - energy) / 2.0721 - q**2)
    variances, wanted = resolution.variable_variances(MAPS, ei), []
    for axis, place in ((1, (q, 0.0)), (2, (0.0, q))):  # the beam is not quite round
        matrix = resolution.linear_map(MAPS, *place, energy, ei)
        beside = matrix[0] - q / along * matrix[axis]
        deviation = (matrix[3] - slope * beside) / (1 - slope / (2 * 2.0721 * along))
        wanted.append(((deviation**2 * variances).sum(), (deviation * matrix[axis] * variances).sum()))
    assert width[0] == pytest.approx(np.mean([w for w, _ in wanted]), rel=0.05)
    assert cross[0] * q == pytest.approx(np.mean([c for _, c in wanted]), rel=0.05)


def test_twins_are_weighted_and_turned() -> None:
    """A chain along a: its twin along b shows the same picture, transposed."""
    raw = ferromagnet().model_dump(mode="json")
    raw["bonds"] = [
        {"parameter": "Jab", "vectors": [[1, 0, 0]]},
        {"parameter": "Jc", "vectors": [[0, 1, 0]]},
    ]
    binning = Binning(EDGES, EDGES, np.linspace(0.5, 5, 6), 20.0)
    volumes = []
    several: list[list[dict[str, Any]]] = [
        [{}],
        [{"axes": "y,x,z"}],
        [{"weight": 3}, {"weight": 1, "axes": "y,x,z"}],
    ]
    for twins in several:
        waves = solve_material(Description.model_validate({**raw, "twins": twins}))
        volumes.append(waves.volume(binning, "convolved"))
    # h and k differ by the aperture alone: the resolution is nearly round
    assert np.linalg.norm(volumes[1] - volumes[0].transpose(1, 0, 2)) < 0.02 * np.linalg.norm(volumes[0])
    mixed = 0.75 * volumes[0] + 0.25 * volumes[1]
    assert np.linalg.norm(volumes[2] - mixed) < 1e-3 * np.linalg.norm(mixed)  # negative bins are cut off


def test_hexagonal_axes_of_view() -> None:
    raw = ferromagnet().model_dump(mode="json")
    raw["lattice"] = {"a": 4, "b": 4, "c": 5, "gamma": 120}
    raw["bonds"] = [{"parameter": "Jab", "shell": 1}, {"parameter": "Jc", "shell": 2}]
    with pytest.raises(Exp2SimError, match="not normal to each other"):
        solve_material(Description.model_validate(raw))
    raw["bonds"] = [{"parameter": "Jab", "shell": 1}]
    del raw["parameters"]["Jc"]
    raw["view"] = {"horizontal": [1, 0, 0], "vertical": [-1, 2, 0]}
    waves = solve_material(Description.model_validate(raw))
    assert waves.projection.names == ("[H,0,0]", "[-K,2K,0]")
    assert waves.lattice == pytest.approx((4 * np.sqrt(3) / 2, 2.0))
    twin = waves.twins[0]
    found = make_plane(twin, waves.translations, ((-1.0, 1.0), (-1.0, 1.0)), 20)
    energies = waves.solve(found.solved @ twin.axes[:2])[0][found.row, 0]
    x, y = found.q.T
    # the nearest neighbours in the plane, seen along a* (x) and normal to it (y)
    angles = np.radians([30, 90, 150])
    cosines = sum(np.cos(4 * (x * np.cos(t) + y * np.sin(t))) for t in angles)
    assert np.allclose(energies, 2 * 0.3 * (3 - cosines), atol=1e-6)


def test_a_structure_that_is_no_equilibrium_is_refused() -> None:
    raw = ferromagnet().model_dump(mode="json")
    raw["sites"].append({**raw["sites"][0], "positions": [[0.5, 0.5, 0.5]], "direction": [1, 0, 0]})
    raw["bonds"].append({"parameter": "Jc", "vectors": [[0.5, 0.5, 0.5]]})
    with pytest.raises(UnstableStructureError, match="no equilibrium"):
        solve_material(Description.model_validate(raw))
    with pytest.raises(UnstableStructureError, match="not stable"):
        solve_material(rb2mnf4(), [0.65, 0.4])
    with pytest.raises(Exp2SimError, match="takes 2 finite numbers"):
        solve_material(rb2mnf4(), [0.65])
    with pytest.raises(Exp2SimError, match="Only the built-in models"):
        solve_material(rb2mnf4(), options=Options(physics="paper_compatible"))


def test_volumes_are_histograms() -> None:
    waves = solve_material(rb2mnf4(), options=Options(instrument=load_instrument("MERLIN")))
    binning = Binning(EDGES, EDGES, np.linspace(1, 8, 8), 16.0)
    histogram = simulate_volume(waves, binning, noise=0.5, seed=3)
    assert [axis.name for axis in histogram.axes[:2]] == ["[H,0,0]", "[0,K,0]"]
    assert 0.02 < histogram.mask.mean() < 0.6
    assert histogram.metadata["history"][0]["instrument"] == "MERLIN"


RECIPE = """
name = "own"
seed = 4
train = 2
validation = 1
test = 1
grid = 15
shard_size = 3
instrument = "MERLIN"
classes = [{ name = "Nearest", description = "own.toml", ranges = { J2 = [0, 0] } }, "rb2mnf4"]
[binning]
incident_energies = [12.0, 20.0]
bins = [8, 8, 5]
h = [-1.0, 1.0]
k = [-1.0, 1.0]
"""


def test_dataset_of_described_models(tmp_path: Path) -> None:
    """Eight samples of two classes, balanced, the same bytes for any number of processes."""
    (tmp_path / "own.toml").write_text(shipped()["rb2mnf4"].read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    command = ["simulate", "dataset", str(tmp_path / "recipe.toml"), "--processes", "2", "--out"]
    assert main([*command, str(tmp_path / "two")]) == 0
    recipe = read_recipe(tmp_path / "recipe.toml")
    simulate_dataset(recipe, tmp_path / "one")
    names = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    card = json.loads((tmp_path / "one" / "dataset.json").read_text())
    assert card["classes"] == ["Nearest", "Rb2MnF4"]
    assert card["count"] == 8
    assert card["parameters"] == {"Nearest": ["J1", "J2"], "Rb2MnF4": ["J1", "J2"]}
    assert card["recipe"]["instrument"]["name"] == "MERLIN"
    label, parameters, sums = [], [], []
    for path in sorted((tmp_path / "one" / "shards").glob("*.h5")):
        with h5py.File(path) as file:
            label += file["label"][()].tolist()
            parameters.append(file["parameters"][()])
            sums += file["integrated"][()].sum(axis=(1, 2, 3, 4)).tolist()
    assert np.bincount(label).tolist() == [4, 4]
    drawn = np.concatenate(parameters)
    assert (drawn[0::2, 1] == 0).all()
    assert (drawn[1::2, 1] != 0).all()
    assert np.median(sums) > 0
    own = (tmp_path / "own.toml").read_text().replace("spin = 2.5", "spin = 2.0")
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    with pytest.raises(Exp2SimError, match="another recipe"):
        simulate_dataset(read_recipe(tmp_path / "recipe.toml"), tmp_path / "one")


def test_dataset_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for old, new, why in (
        ('"rb2mnf4"]', '"Dimer"]', "same lattice"),
        ('"rb2mnf4"]', '"nowhere.toml"]', "no description"),
        ("own.toml", "rb2mnf4", "the same name"),
        ("J2 = [0, 0]", "J7 = [0, 0]", "no parameter 'J7'"),
        ('"MERLIN"', '"HET"', "no instrument"),
    ):
        text = RECIPE.replace("own.toml", "rb2mnf4").replace("Nearest", "Near")
        if old == "own.toml":
            text = text.replace('"Near"', '"Rb2MnF4"')  # two classes of one name
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(Exp2SimError, match=why):
            read_recipe(path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--incident-energy", "nan"], "--incident-energy is nan"),
        (["--incident-energy", "-5"], "--incident-energy is -5"),
        (["--noise", "nan"], "--noise, --seed, --bins or --grid cannot be used"),
        (["--plot", "none/x.png"], "does not exist"),
        (["--plot", "x.doc"], "is no name of a picture"),
    ],
)
def test_command_refuses_before_it_writes(
    options: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "spectrum", "out.npz", *options]) == 2
    assert why in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_takes_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("mantid_exp2sim.simulation.measurement.solve", too_much)
    assert main(["simulate", "spectrum", str(tmp_path / "out.npz")]) == 2
    assert "Try fewer --bins" in capsys.readouterr().err


def test_command_simulates_a_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "own.nxs"
    command = ["simulate", "spectrum", str(out), "--description", "rb2mnf4", "--json"]
    where = ["--instrument", "LET", "--incident-energy", "12", "--energy", "1", "7", "--grid", "10"]
    options = [*where, "--bins", "8", "8", "6", "--h", "-1", "0.5", "--k", "0", "1"]
    assert main([*command, *options, "--set", "J1=0.6"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == {"J1": 0.6, "J2": 0.0}
    assert found["instrument"] == "LET"
    histogram = load(out)
    assert histogram.shape == (8, 8, 6)
    assert histogram.axes[0].edges[[0, -1]].tolist() == [-1.0, 0.5]
    assert main(command) == 2  # no incident energy
    assert main([*command, *options, "--set", "J1"]) == 2
    assert main([*command, *options, "--parameters", *"123456"]) == 2
