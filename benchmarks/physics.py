"""The simulator's figures against the reference data.

    python benchmarks/physics.py [REFERENCE_DATA] [--json]

REFERENCE_DATA holds the folder `pcsmo` (measurement, mask, covariance tables, SpinW's file); by default the
environment variable EXP2SIM_REFERENCE_DATA. Without it only the two solvers are compared.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import get_args

import numpy as np
from scipy.io import loadmat
from table import Row, finish

from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, picture_from_volumes
from mantid_exp2sim.simulation import manganite, resolution, spin_waves
from mantid_exp2sim.simulation.binning import mosaic_binnings
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.instrument import MAPS
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import read_description, shipped
from mantid_exp2sim.simulation.options import Options, Physics

CORRELATIONS = {
    "paper_compatible": (0.49, 0.60, 0.66, 0.74, 0.59, 0.51),
    "physical": (0.63, 0.72, 0.71, 0.77, 0.69, 0.59),
}
"""Correlation of √I with the real measurement at each incident energy."""
TABLE_FREQUENCIES = ((25, 300), (35, 200), (50, 200), (70, 250), (100, 250), (140, 400))


def at_most(name: str, value: float, limit: float, unit: str, note: str = "") -> Row:
    return Row(
        name=name,
        value=float(value),
        unit=unit,
        target=f"≤ {limit:g} {unit}",
        met=bool(value <= limit),
        note=note,
    )


def at_least(name: str, value: float, limit: float, unit: str = "", note: str = "") -> Row:
    target = f"≥ {limit:g} {unit}".rstrip()
    return Row(name=name, value=float(value), unit=unit, target=target, met=bool(value >= limit), note=note)


def correlation(a: np.ndarray, b: np.ndarray, keep: np.ndarray) -> float:
    return float(np.corrcoef(np.sqrt(np.maximum(a[keep], 0)), np.sqrt(np.maximum(b[keep], 0)))[0, 1])


def energies(data: Path) -> Row:
    path = data / "spinw_goodenough_reference.mat"
    spinw = loadmat(path, struct_as_record=False, squeeze_me=True)["data"].spec[0]
    h = np.linspace(0, 1.98, 50)
    worst = 0.0
    for q, omega in zip(
        (np.stack([2 * h, 0 * h], 1), np.stack([0 * h, 2 * h * 5.4599 / 5.408], 1)), spinw, strict=True
    ):
        energy = manganite.solve_reduced("Goodenough", manganite.BEST_FIT["Goodenough"], q + 1e-9).energy
        expected = np.sort(omega.real, axis=0)[16:].T
        worst = max(worst, np.abs(np.sort(energy.reshape(50, 16), axis=1) - expected)[1:].max())
    return at_most("energies against SpinW, away from q = 0", worst, 1e-3, "meV")


def solvers() -> Row:
    q = np.random.default_rng(0).random((200, 3)) * 2
    worst = 0.0
    for model, parameters in manganite.BEST_FIT.items():
        described = assemble(read_description(shipped()[f"pcsmo-{model.lower()}"]))
        structure, bonds, anisotropy = described.hamiltonian(parameters)
        omega, _ = spin_waves.solve(structure, bonds, q, anisotropy=anisotropy)
        modes = manganite.solve_reduced(model, parameters, q[:, :2]).energy.reshape(len(q), 16)
        worst = max(worst, np.abs(np.sort(modes, axis=1) - omega).max())
    return at_most("reduced against general solver", worst, 1e-6, "meV")


def tables(data: Path) -> Row:
    instrument = MAPS.model_copy(
        update={
            "frequencies": TABLE_FREQUENCIES,
            "sample": (0.0288,) * 3,
            "detector_height": 0.025,
            "time_bin": 14.6,
        }
    )
    unit = np.array([5.408, 5.4599, 2 * np.pi]) / (2 * np.pi)
    ratios = []
    for ei, _ in TABLE_FREQUENCIES:
        table = np.loadtxt(data / "resolution" / f"PCSMO_ei{ei}_resolution.txt.gz")
        table = table[(table[:, 2] >= 0) & (table[:, 2] <= 0.72 * ei)]
        qy, qz = 2 * np.pi / 5.408 * table[:, 0], 2 * np.pi / 5.4599 * table[:, 1]
        computed = resolution.covariance(instrument, qy, qz, table[:, 2], ei) * unit[:, None] * unit
        good = np.isfinite(computed).all(axis=(1, 2))
        diagonal = (slice(None), [0, 1, 2], [0, 1, 2])
        expected = table[good, 3:].reshape(-1, 3, 3)
        ratios.append(np.sqrt(computed[good][diagonal] / expected[diagonal]) - 1)
    every = np.concatenate(ratios)
    parts = ", ".join(f"{v:.1%}" for v in np.sqrt((every**2).mean(axis=0)))
    total = 100 * float(np.sqrt((every**2).mean()))
    return at_most(
        "covariance tables, widths, E/Ei from 0 to 0.72, rms", total, 2.0, "%", f"h, k, E: {parts}"
    )


def images(data: Path) -> list[Row]:
    real = np.load(data / "measured_4K_clipped_120.npy", allow_pickle=False).squeeze()
    published = np.load(data / "tobyfit_goodenough_best_fit.npy", allow_pickle=False).squeeze()
    measured = ~np.flipud(loadmat(data / "nanmask.mat")["nan_mask"]).astype(bool)
    computed = picture_from_volumes(mosaic_coverage_mask())
    best = manganite.BEST_FIT["Goodenough"]
    image = {}
    for physics in get_args(Physics):
        waves = solve_manganite("Goodenough", best, Options(physics=physics))
        image[physics] = picture_from_volumes(np.stack([waves.volume(b) for b in mosaic_binnings()]))
    shared = 100 * float((computed == ~measured).mean())
    name = "published image, `paper_compatible`, correlation of √I over measured pixels"
    rows = [
        at_least("coverage against the measured mask", shared, 92, "%"),
        at_least(name, correlation(image["paper_compatible"], published, measured), 0.92),
    ]
    for physics, targets in CORRELATIONS.items():
        panels = [slice(40 * i, 40 * i + 40) for i in range(len(INCIDENT_ENERGIES))]
        values = [correlation(image[physics][part], real[part], measured[part]) for part in panels]
        above = min(value - target for value, target in zip(values, targets, strict=True))
        per_ei, expected = (" ".join(f"{value:.2f}" for value in row) for row in (values, targets))
        name = f"real measurement, `{physics}`, correlation of √I over the expected one, least of Ei"
        rows.append(at_least(name, above, -0.02, note=f"per Ei {per_ei}, expected {expected}"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, metavar="REFERENCE_DATA")
    parser.add_argument("--json", action="store_true")
    folder = parser.parse_args().data or os.environ.get("EXP2SIM_REFERENCE_DATA")
    rows = [solvers()]
    if folder:
        data = Path(folder) / "pcsmo"
        if not data.is_dir():
            parser.error(f"there is no folder {data}: REFERENCE_DATA is the one that holds it")
        rows += [energies(data), tables(data), *images(data)]
    return finish(rows, "the simulator against reference data")


if __name__ == "__main__":
    sys.exit(main())
