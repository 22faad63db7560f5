"""The simulator against closed forms, the reference files, and its own other paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mosaic import picture_from_volumes
from mantid_exp2sim.simulation import manganite, resolution
from mantid_exp2sim.simulation import manganite_spectrum as spectrum
from mantid_exp2sim.simulation import spin_waves as spinwave
from mantid_exp2sim.simulation.binning import KINDS, Binning, Kind, mosaic_binnings
from mantid_exp2sim.simulation.coverage import coverage_mask, mosaic_coverage_mask
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.instrument import MAPS
from mantid_exp2sim.simulation.manganite import ModelName
from mantid_exp2sim.simulation.material import read_description, shipped
from mantid_exp2sim.simulation.measurement import simulate, simulate_volume
from mantid_exp2sim.simulation.options import Options, SpinWaves
from mantid_exp2sim.training.datasets.simulate import simulate_dataset
from mantid_exp2sim.training.datasets.simulation_recipe import Recipe, read_recipe

MODELS = ("Goodenough", "Dimer")
TABLE_FREQUENCIES = ((25, 300), (35, 200), (50, 200), (70, 250), (100, 250), (140, 400))


@pytest.fixture(scope="module")
def waves() -> spectrum.ManganiteSpinWaves:
    return spectrum.solve_manganite("Goodenough", manganite.BEST_FIT["Goodenough"])


def mosaic_volumes(waves: SpinWaves, kind: Kind = "convolved") -> np.ndarray:
    return np.stack([waves.volume(binning, kind) for binning in mosaic_binnings()])


def sqrt_correlation(a: np.ndarray, b: np.ndarray, keep: np.ndarray) -> float:
    return float(np.corrcoef(np.sqrt(np.maximum(a[keep], 0)), np.sqrt(np.maximum(b[keep], 0)))[0, 1])


@pytest.mark.parametrize("model", MODELS)
def test_reduced_and_general_solver_agree(model: ModelName) -> None:
    q = np.random.default_rng(1).random((40, 3)) * 2  # of the magnetic cell, two nuclear ones in a and b
    assembly = assemble(read_description(shipped()[f"pcsmo-{model.lower()}"]))
    structure, bonds, anisotropy = assembly.hamiltonian(manganite.BEST_FIT[model])
    omega, sab = spinwave.solve(structure, bonds, q, anisotropy=anisotropy)
    modes = manganite.solve_reduced(model, manganite.BEST_FIT[model], q[:, :2])
    assert np.abs(np.sort(modes.energy.reshape(40, 16), axis=1) - omega).max() < 1e-6
    # S^zz carries cos²(0.2πl) for even and sin²(0.2πl) for odd branches, S^xx the other way round
    even = np.cos(0.2 * np.pi * q[:, 2]) ** 2
    zz = manganite.SPIN * (np.abs(modes.z.sum(axis=2)) ** 2).sum(axis=2)
    xx = manganite.SPIN * (np.abs(modes.x.sum(axis=2)) ** 2).sum(axis=2)
    total_zz = zz[:, 0] * even + zz[:, 1] * (1 - even)
    total_xx = xx[:, 0] * (1 - even) + xx[:, 1] * even
    assert np.allclose(total_zz, sab[:, :, 2, 2].real.sum(axis=1), atol=1e-5)
    assert np.allclose(total_xx, sab[:, :, 0, 0].real.sum(axis=1), atol=1e-5)


def test_energies_equal_the_reference_of_spinw(reference_data: Path) -> None:
    from scipy.io import loadmat

    path = reference_data / "pcsmo" / "spinw_goodenough_reference.mat"
    energies = loadmat(path, struct_as_record=False, squeeze_me=True)["data"].spec[0]
    h = np.linspace(0, 1.98, 50)
    paths = (np.stack([2 * h, 0 * h], 1), np.stack([0 * h, 2 * h * 5.4599 / 5.408], 1))
    for q, expected in zip(paths, energies, strict=True):
        found = manganite.solve_reduced("Goodenough", manganite.BEST_FIT["Goodenough"], q + 1e-9).energy
        wanted = np.sort(expected.real, axis=0)[16:].T
        assert np.abs(np.sort(found.reshape(50, 16), axis=1) - wanted)[1:].max() < 1e-3


def test_square_antiferromagnet_has_the_closed_form() -> None:
    """Rb2MnF4: ω = √(A² − B²), in a rotated cell with two sites."""
    j, s = 0.65, 2.5
    positions = np.array([[0.0, 0, 0], [0.5, 0.5, 0]])
    structure = spinwave.Structure(positions, np.array([[0, 0, 1.0], [0, 0, -1.0]]), np.full(2, s))
    cells = [(0, 0, 0), (-1, 0, 0), (0, -1, 0), (-1, -1, 0)]
    bonds = spinwave.Bonds.isotropic([(0, 1, cell, j) for cell in cells])
    q = np.random.default_rng(0).random((20, 3))
    omega, _ = spinwave.solve(structure, bonds, q)
    # the rotated cell has a1 = (1, 1), a2 = (−1, 1): h = (H − K)/2, k = (H + K)/2
    h, k = (q[:, 0] - q[:, 1]) / 2, (q[:, 0] + q[:, 1]) / 2
    g1 = (np.cos(2 * np.pi * h) + np.cos(2 * np.pi * k)) / 2
    wanted = 4 * s * j * np.sqrt(1 - g1**2)
    assert np.abs(omega - wanted[:, None]).max() < 1e-5


def test_unstable_constants_are_refused() -> None:
    with pytest.raises(spinwave.UnstableStructureError, match="not stable"):
        spectrum.solve_manganite("Dimer", (-1.0, 3.0, 3.0, -1.0, 0.0, 0.0)[::-1])
    with pytest.raises(Exp2SimError, match="no spin-wave model"):
        spectrum.solve_manganite("Heisenberg", np.zeros(6))
    with pytest.raises(Exp2SimError, match="six finite numbers"):
        spectrum.solve_manganite("Dimer", [1.0, np.nan])


@pytest.mark.parametrize(
    ("ei", "frequency", "widths"),
    [
        (25, 150, (5.14, 4.12, 3.59, 3.18)),
        (25, 300, (3.84, 3.32, 3.04, 2.82)),
        (35, 200, (4.83, 3.92, 3.45, 3.09)),
        (50, 200, (5.32, 4.24, 3.67, 3.24)),
        (70, 250, (5.15, 4.13, 3.59, 3.19)),
        (100, 250, (5.76, 4.53, 3.88, 3.38)),
        (100, 300, (5.14, 4.12, 3.59, 3.18)),
        (140, 400, (4.83, 3.93, 3.45, 3.09)),
    ],
)
def test_energy_widths_of_maps(ei: float, frequency: float, widths: tuple[float, ...]) -> None:
    instrument = MAPS.model_copy(update={"frequencies": ((ei, frequency),)})
    energy = np.array([0, 0.3, 0.5, 0.7]) * ei
    sigma = np.sqrt(resolution.covariance(instrument, 0.0, 0.0, energy, ei)[:, 2, 2])
    assert np.allclose(100 * resolution.FWHM * sigma / ei, widths, rtol=0.01)


def test_covariance_tables_of_the_measurement(reference_data: Path) -> None:
    """Widths to 2 % rms for E/Ei from 0 to 0.72, with the sample and the detectors of the tables."""
    instrument = MAPS.model_copy(
        update={
            "frequencies": TABLE_FREQUENCIES,
            "sample": (0.0288, 0.0288, 0.0288),
            "detector_height": 0.025,
            "time_bin": 14.6,
        }
    )
    unit = np.array([5.408, 5.4599, 2 * np.pi]) / (2 * np.pi)
    ratios = []
    for ei, _ in TABLE_FREQUENCIES:
        path = reference_data / "pcsmo" / "resolution" / f"PCSMO_ei{ei}_resolution.txt.gz"
        table = np.loadtxt(path)
        table = table[(table[:, 2] >= 0) & (table[:, 2] <= 0.72 * ei)]
        qy, qz = 2 * np.pi / 5.408 * table[:, 0], 2 * np.pi / 5.4599 * table[:, 1]
        found = resolution.covariance(instrument, qy, qz, table[:, 2], ei) * unit[:, None] * unit
        expected = table[:, 3:].reshape(-1, 3, 3)
        good = np.isfinite(found).all(axis=(1, 2))
        diagonal = (slice(None), [0, 1, 2], [0, 1, 2])
        ratios.append(np.sqrt(found[good][diagonal] / expected[good][diagonal]) - 1)
        # the correlation of Q and E is negative where the tables have the opposite sign off the diagonal
        assert -1.2 < np.median(found[good][:, 0, 2] / expected[good][:, 0, 2]) < -0.8
    assert np.sqrt((np.concatenate(ratios) ** 2).mean()) < 0.02


def test_covariance_is_that_of_the_monte_carlo() -> None:
    draws = resolution.draw_variables(MAPS, 70.0, 200_000, np.random.default_rng(0))
    assert np.allclose(draws.var(axis=0), resolution.variable_variances(MAPS, 70.0), rtol=0.02, atol=1e-30)
    matrix = resolution.linear_map(MAPS, 0.8, -0.3, 30.0, 70.0)[1:]
    expected = resolution.covariance(MAPS, 0.8, -0.3, 30.0, 70.0)
    assert np.allclose(np.cov(matrix @ draws.T), expected, rtol=0.03, atol=1e-5)


def test_coverage_is_that_of_the_measurement(reference_data: Path) -> None:
    from scipy.io import loadmat

    measured = np.flipud(loadmat(reference_data / "pcsmo" / "nanmask.mat")["nan_mask"]).astype(bool)
    computed = picture_from_volumes(mosaic_coverage_mask())
    assert (measured == computed).mean() >= 0.92


def test_coverage_refuses_a_single_edge() -> None:
    with pytest.raises(Exp2SimError, match="two edges"):
        coverage_mask(np.array([0.0]), np.array([0.0, 1.0]), np.array([1.0, 2.0]), 25.0)


def test_published_simulation_is_reproduced(reference_data: Path) -> None:
    from scipy.io import loadmat

    published = np.load(reference_data / "pcsmo" / "tobyfit_goodenough_best_fit.npy")[0]
    measured = ~np.flipud(loadmat(reference_data / "pcsmo" / "nanmask.mat")["nan_mask"]).astype(bool)
    options = Options(physics="paper_compatible")
    waves = spectrum.solve_manganite("Goodenough", manganite.BEST_FIT["Goodenough"], options)
    image = picture_from_volumes(mosaic_volumes(waves))
    assert sqrt_correlation(image, published, measured) >= 0.92


def test_physical_simulation_is_nearer_to_the_measurement(
    waves: spectrum.ManganiteSpinWaves, reference_data: Path
) -> None:
    from scipy.io import loadmat

    real = np.load(reference_data / "pcsmo" / "measured_4K_clipped_120.npy").squeeze()
    measured = ~np.flipud(loadmat(reference_data / "pcsmo" / "nanmask.mat")["nan_mask"]).astype(bool)
    image = picture_from_volumes(mosaic_volumes(waves))
    wanted = (0.63, 0.72, 0.71, 0.77, 0.69, 0.59)
    for row, least in enumerate(wanted):
        part = slice(40 * row, 40 * row + 40)
        assert sqrt_correlation(image[part], real[part], measured[part]) >= least - 0.02


def monte_carlo_volume(
    waves: spectrum.ManganiteSpinWaves, binning: Binning, rng: np.random.Generator, *, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the convolved volume by Monte Carlo over the eleven variables.

    Every branch at every point of the grid is thrown ``draws`` times: a place in its (h, k) cell, an energy
    along the branch's slope, and a draw of the eleven variables. Returns (mean, standard error), both (nh,
    nk, nE).
    """
    options, ei = waves.options, binning.incident_energy
    half = waves.half_plane(spectrum.half_plane_cells(binning, options))
    edges = (binning.h_edges, binning.k_edges, binning.energy_edges)
    sums = np.zeros((2, *binning.shape))
    cell = 0.5 / options.grid
    k_unit = (2 * np.pi / manganite.LATTICE[0], 2 * np.pi / manganite.LATTICE[1])
    p, mode = np.nonzero(half.energy < min(1.5 * edges[2][-1], 0.98 * ei))
    weight = spectrum.mode_intensity(half, (p, mode), half.energy[p, mode], ei, 0)
    keep = weight > 0
    p, mode, weight = p[keep], mode[keep], weight[keep]
    density = cell**2 / np.prod([e[1] - e[0] for e in edges])
    for sign, twin in ((s, t) for s in (1.0, -1.0) for t in (1, 2)):
        h, k = sign * half.qx[p] / k_unit[0], sign * half.qy[p] / k_unit[1]
        ratio = manganite.LATTICE[0] / manganite.LATTICE[1]
        h, k = (h, k) if twin == 1 else (k * ratio, h / ratio)
        for _ in range(draws):
            jitter = rng.uniform(-0.5, 0.5, (2, p.size)) * cell
            energy = half.energy[p, mode] + rng.normal(size=p.size) * np.sqrt(half.spread[p, mode])
            at_h, at_k = h + jitter[0], k + jitter[1]
            matrix = resolution.linear_map(options.instrument, at_h * k_unit[0], at_k * k_unit[1], energy, ei)
            delta = np.einsum(
                "pij,pj->pi", matrix[:, 1:], resolution.draw_variables(options.instrument, ei, p.size, rng)
            )
            sample = np.stack(
                [at_h + delta[:, 0] / k_unit[0], at_k + delta[:, 1] / k_unit[1], energy + delta[:, 2]], 1
            )
            good = np.isfinite(sample).all(axis=1)
            for power in (1, 2):
                value = (0.5 * weight[good] * density / draws) ** power
                sums[power - 1] += np.histogramdd(sample[good], bins=edges, weights=value)[0]
    return sums[0], np.sqrt(sums[1])


def test_gaussian_resolution_is_that_of_the_monte_carlo(waves: spectrum.ManganiteSpinWaves) -> None:
    """No bin-by-bin difference beyond the noise of the Monte Carlo itself."""
    binning = mosaic_binnings()[3]
    gaussian = waves.volume(binning)
    mean, error = monte_carlo_volume(waves, binning, np.random.default_rng(0), draws=2)
    assert gaussian.sum() == pytest.approx(mean.sum(), rel=0.01)
    assert np.linalg.norm(gaussian - mean) < 1.05 * np.linalg.norm(error)
    sharp = waves.volume(binning, "integrated")
    assert np.linalg.norm(sharp - mean) > 1.3 * np.linalg.norm(error)  # so that the check can fail


def test_resolution_keeps_the_total(waves: spectrum.ManganiteSpinWaves) -> None:
    totals = [mosaic_volumes(waves, kind).sum() for kind in KINDS]
    assert np.allclose(totals, totals[1], rtol=0.01)


def test_integrated_does_not_depend_on_the_grid() -> None:
    binning = mosaic_binnings()[4]
    volumes = [
        spectrum.solve_manganite("Dimer", manganite.BEST_FIT["Dimer"], Options(grid=n)).volume(binning)
        for n in (30, 60)
    ]
    assert np.linalg.norm(volumes[0] - volumes[1]) < 0.03 * np.linalg.norm(volumes[1])


def test_volumes_have_the_symmetry_of_twins(waves: spectrum.ManganiteSpinWaves) -> None:
    volume = waves.volume(mosaic_binnings()[2], "integrated")
    assert np.allclose(volume, volume[::-1, ::-1], atol=1e-9)


def test_fine_volumes_and_gaps(waves: spectrum.ManganiteSpinWaves) -> None:
    edges = np.linspace(-1, 1, 21)
    binning = Binning(edges, edges, np.linspace(14, 98, 41), 140.0)
    histogram = simulate_volume(waves, binning, noise=0.7, seed=1)
    assert histogram.shape == (20, 20, 40)
    assert 0.02 < histogram.mask.mean() < 0.5
    assert np.isnan(histogram.intensity[histogram.mask]).all()
    again = simulate_volume(waves, binning, noise=0.7, seed=1)
    assert np.array_equal(histogram.intensity, again.intensity, equal_nan=True)


def test_wrong_binning_and_kind(waves: spectrum.ManganiteSpinWaves) -> None:
    edges = np.linspace(-1, 1, 5)
    with pytest.raises(Exp2SimError, match="below the incident energy"):
        Binning(edges, edges, np.array([10.0, 60.0]), 50.0)
    with pytest.raises(Exp2SimError, match="ascending"):
        Binning(edges[::-1], edges, np.array([10.0, 20.0]), 50.0)
    with pytest.raises(Exp2SimError, match="no kind"):
        waves.volume(mosaic_binnings()[0], "sharp")  # type: ignore[arg-type]


def test_mosaic_is_a_histogram() -> None:
    histogram = simulate("dimer", kind="integrated", noise=0.5, seed=2)
    assert histogram.shape == (240, 400)
    assert histogram.metadata["layout"] == "mosaic"
    assert np.array_equal(histogram.mask, picture_from_volumes(mosaic_coverage_mask()))
    assert (histogram.variance[~histogram.mask] >= 0).all()


SMALL = Recipe(
    name="small", seed=5, train=2, validation=1, test=1, kinds=("integrated",), grid=12, shard_size=3
)


def test_dataset_has_the_same_bytes_for_any_number_of_processes(tmp_path: Path) -> None:
    one = simulate_dataset(SMALL, tmp_path / "one", processes=1)
    two = simulate_dataset(SMALL, tmp_path / "two", processes=2)
    assert one == two
    assert 0 < one["acceptance"]["Dimer"] <= 1
    names = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(names) == 6  # dataset.json, summary.json, mask.npy, three shards
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_dataset_of_any_binning(tmp_path: Path) -> None:
    """Shape, mask, axes and values are those of the binning that the recipe asks for."""
    import h5py

    grid = {"incident_energies": [50.0], "bins": [6, 4, 12], "h": [0.0, 1.0], "energy": [0.2, 0.5]}
    recipe = Recipe.model_validate({**SMALL.model_dump(), "binning": grid})
    simulate_dataset(recipe, tmp_path)
    description = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert description["shape"] == [1, 6, 4, 12]
    assert [axis["kind"] for axis in description["axes"]] == ["h", "k", "energy"]
    assert description["axes"][2]["width"] == pytest.approx(0.025)
    assert np.load(tmp_path / "mask.npy").shape == (1, 6, 4, 12)
    with h5py.File(tmp_path / "shards" / "00000.h5") as file:
        values, parameters = file["integrated"][0], file["parameters"][0]
    waves = spectrum.solve_manganite("Dimer", parameters, Options(grid=recipe.grid))
    assert np.allclose(values[0], waves.volume(recipe.binnings[0], "integrated"), rtol=1e-6)


def test_dataset_goes_on_after_a_kill(tmp_path: Path) -> None:
    """kill -9 in the middle; the same command then finishes with the same bytes."""
    import time

    recipe = SMALL.model_copy(update={"train": 10, "shard_size": 2, "grid": 20})
    text = "\n".join(
        f"{key} = {json.dumps(value)}"
        for key, value in recipe.model_dump(mode="json", exclude_none=True).items()
    )
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    assert read_recipe(path) == recipe
    killed = tmp_path / "killed"
    start = "from mantid_exp2sim.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, "simulate", "dataset", str(path)]
    command += ["--out", str(killed), "--processes", "2"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stderr=quiet, stdout=quiet, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(killed.glob("shards/[0-9]*.h5")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    while time.monotonic() < deadline:  # until the workers have noticed that their parent is gone
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    before = {p.name: p.read_bytes() for p in killed.glob("shards/[0-9]*.h5")}
    assert before
    found = simulate_dataset(recipe, killed)
    simulate_dataset(recipe, tmp_path / "whole")
    assert found["simulated"] == recipe.count - 2 * len(before)
    whole, resumed = (sorted((d / "shards").iterdir()) for d in (tmp_path / "whole", killed))
    assert [shard.name for shard in resumed] == [shard.name for shard in whole]
    for one, other in zip(resumed, whole, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_dataset_refuses_a_folder_of_another_recipe(tmp_path: Path) -> None:
    simulate_dataset(SMALL, tmp_path / "set")
    with pytest.raises(Exp2SimError, match="another recipe"):
        simulate_dataset(SMALL.model_copy(update={"seed": 6}), tmp_path / "set")


@pytest.mark.parametrize("text", ["name = ", 'name = "x"\nseed = -1', 'unknown = 1\nname = "x"'])
def test_wrong_recipes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Exp2SimError, match=r"no TOML|cannot be used"):
        read_recipe(path)
    with pytest.raises(Exp2SimError, match="Cannot read"):
        read_recipe(tmp_path / "none.toml")


def test_the_benchmark_of_the_physics_asks_for_its_data(tmp_path: Path) -> None:
    program = Path(__file__).parents[2] / "benchmarks" / "physics.py"
    environment = {key: value for key, value in os.environ.items() if key != "EXP2SIM_REFERENCE_DATA"}
    for arguments, status, said in (
        (["--help"], 0, "REFERENCE_DATA"),
        (["--json"], 0, "reduced against general solver"),
        ([str(tmp_path)], 2, "there is no folder"),
    ):
        done = subprocess.run(
            [sys.executable, str(program), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert said in done.stdout + done.stderr
