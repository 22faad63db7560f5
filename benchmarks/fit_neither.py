"""How often a fit calls a model "neither": seldom where it is right, often where it is not.

    OMP_NUM_THREADS=1 python benchmarks/fit_neither.py --spectra 200 --out neither.jsonl

Volumes at 14 meV are fitted with the square-lattice antiferromagnet Rb2MnF4, two constants. Four kinds of ten
are of that magnet, as in ``fit_calibration.py square``: nothing else, a background that changes with Q, the
resolution 10 % off, phonons of 30 % of the intensity, none of which the fit knows. Six kinds are not: a
ferromagnet, stripes, a spiral, a triangular and a honeycomb magnet, and phonons alone. All come from the
simulator that fits. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from fit_calibration import CONDITIONS, square
from numpy.random import Generator

from mantid_exp2sim import Binning, FitOptions, Histogram, fit, simulate
from mantid_exp2sim.fitting.result import LEAST_EXPLAINED, LEAST_P
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError

FOREIGN = ("ferromagnet", "stripes", "spiral", "triangular", "honeycomb", "phonons alone")
KINDS = (*CONDITIONS, *FOREIGN)
BINNING = Binning.regular(14.0, bins=(14, 14, 6), energy=(1.4, 9.8))
SQUARE = {"a": 4.215, "b": 4.215, "c": 13.77}
HEXAGONAL = {"a": 4.5, "b": 4.5, "c": 13.77, "gamma": 120.0}
HEXAGONAL_VIEW = {"horizontal": [1, 0, 0], "vertical": [-1, 2, 0]}
SITE = {"name": "Mn", "ion": "Mn2+", "spin": 2.5, "positions": [[0, 0, 0]], "direction": [0, 0, 1]}


def magnet(kind: str, rng: Generator) -> Description:
    """Draw a magnet of a kind that is not the square-lattice antiferromagnet."""
    site, settings = dict(SITE), {"lattice": SQUARE}
    constants = {"J1": rng.uniform(0.3, 0.5), "J2": rng.uniform(-0.05, 0.0)}
    if kind == "ferromagnet":
        constants = {"J1": -rng.uniform(0.25, 0.45), "J2": -rng.uniform(0.0, 0.05)}
    if kind == "stripes":
        constants = {"J1": rng.uniform(0.05, 0.2), "J2": rng.uniform(0.25, 0.4)}
        site["propagation"] = [0.5, 0, 0]
        settings |= {"magnetic_cell": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}
        settings |= {"twins": [{"weight": 0.5}, {"weight": 0.5, "axes": "y,x,z"}]}
    if kind == "spiral":
        first, third = -rng.uniform(0.25, 0.4), rng.uniform(0.12, 0.2)
        constants = {"J1": first, "J3": third}
        turn = float(np.arccos(-first / (4 * third)) / (2 * np.pi)) if first > -4 * third else 0.0
        site["direction"] = [1, 0, 0]
        settings |= {"rotating_frame": {"propagation": [turn, turn, 0], "axis": [0, 0, 1]}}
    if kind == "triangular":
        site["direction"] = [1, 0, 0]
        settings |= {"lattice": HEXAGONAL, "view": HEXAGONAL_VIEW}
        settings |= {"rotating_frame": {"propagation": [1 / 3, 1 / 3, 0], "axis": [0, 0, 1]}}
        constants["J2"] = 0.0
    if kind == "honeycomb":
        settings |= {"lattice": HEXAGONAL, "view": HEXAGONAL_VIEW, "formula_units": 2}
        constants = {"J1": rng.uniform(0.5, 0.9), "J2": rng.uniform(-0.1, 0.05)}
        third = [1 / 3, 2 / 3, 0]
        sites = [site | {"positions": [third]}]
        sites.append(site | {"name": "Mn'", "positions": [[*third[1::-1], 0]], "direction": [0, 0, -1]})
        settings["sites"] = sites
    shells = {"J1": 1, "J2": 2, "J3": 3}
    return Description.model_validate(
        {
            "name": kind,
            "sites": [site],
            "bonds": [{"parameter": name, "shell": shells[name]} for name in constants],
            "parameters": {name: {"value": value} for name, value in constants.items()},
            **settings,
        }
    )


def foreign(kind: str, number: int) -> Histogram:
    """Draw a volume of another magnet, or of phonons, in the axes of Rb2MnF4."""
    rng = np.random.default_rng([22, number])
    like = square(4 * number).data
    if kind == "phonons alone":
        ideal = phonons(rng)
    else:
        while True:
            try:
                volume = simulate(magnet(kind, rng), binning=BINNING, grid=8)
            except UnstableStructureError:
                continue
            break
        ideal = np.nan_to_num(volume.intensity)
    mean = ideal[~like.mask].mean()
    expected = ideal + rng.exponential(0.2) * mean * np.exp(-BINNING.centres[2] / 4)
    variance = rng.uniform(0.5, 2.0) * 0.05 * mean * (expected + 0.1 * mean)
    noisy = expected + np.sqrt(variance) * rng.standard_normal(expected.shape)
    return like.replace(intensity=noisy, variance=variance)


def phonons(rng: Generator) -> Any:
    """Acoustic phonons of a square lattice with their zone centres at all Bragg points, intensity ∝ Q²/ω."""
    h, k, energy = BINNING.centres
    top = rng.uniform(6, 14)
    sines = np.sin(np.pi * h[:, None]) ** 2 + np.sin(np.pi * k) ** 2
    omega = top * np.sqrt(0.5 * sines)[..., None] + 0.5
    return (h[:, None] ** 2 + k**2)[..., None] / omega * np.exp(-0.5 * ((energy - omega) / 0.7) ** 2)


def row(number: int, starts: int) -> dict[str, Any]:
    """Fit one volume."""
    kind = KINDS[number % len(KINDS)]
    index = number // len(KINDS)
    data = foreign(kind, index) if kind in FOREIGN else square(4 * index + CONDITIONS.index(kind)).data
    start = time.process_time()
    result = fit(data, "rb2mnf4", options=FitOptions(grid=8, samples=0, starts=starts, seed=number))
    model = result.leading
    return {
        "kind": kind,
        "p_value": model.p_value,
        "explained": model.explained,
        "chi2_reduced": model.chi2_reduced,
        "neither": result.neither,
        "cpu_seconds": time.process_time() - start,
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """Say how often each kind is called neither, and what share is explained."""
    lines = [f"neither: p < {LEAST_P} and less than {LEAST_EXPLAINED:.0%} of the structure explained"]
    for kind in KINDS:
        part = [line for line in rows if line["kind"] == kind]
        if not part:
            continue
        shares = [line["explained"] for line in part]
        flagged = sum(line["p_value"] < LEAST_P for line in part)
        neither = sum(
            line["p_value"] < LEAST_P and share < LEAST_EXPLAINED
            for line, share in zip(part, shares, strict=True)
        )
        lines.append(
            f"{kind:>14}: {neither} of {len(part)} neither; p < {LEAST_P} in {flagged}; explained "
            f"{min(shares):.3f} to {max(shares):.3f}, median {np.median(shares):.3f}; "
            f"χ² {np.median([line['chi2_reduced'] for line in part]):.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Fit the volumes that are not yet in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=200)
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("neither.jsonl"))
    args = parser.parse_args()
    lines = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in lines]
    for number in range(len(rows), args.spectra):
        rows.append(row(number, args.starts))
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(summary(rows))


if __name__ == "__main__":
    main()
