"""Richardson–Lucy with the known resolution on simulated measurements: the error of each way to stop it.

    python benchmarks/known_resolution.py [--seeds 1] [--times] [--json FILE]

Relative L2 to the truth over the measured bins. The data are the simulator's own: it puts branches on a grid
that is finer than the bins and blurs them there, not by the operator that takes the resolution out.

stops        what `exp2sim deconvolve --method richardson-lucy` gives
discrepancy  the first iteration that explains the data within their variance
best         the best of 31 iterations, which only the truth tells
TV best      that with a total variation of weight 0.002, 0.005 or 0.01
             (Dey et al., Microsc. Res. Tech. 69 (2006) 260)

--times gives instead the CPU seconds for a mosaic of 240 × 400 bins and a volume of 60³.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.application.known_resolution import (
    ClassicalOptions,
    deconvolve_known,
    resolution_on,
)
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.richardson_lucy import iterates, positive, richardson_lucy
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.local_blur import MeasuredBlur
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.measurement import simulate
from mantid_exp2sim.simulation.setting import Setting, complete

Array = NDArray[np.float32]
HONEYCOMB = Description.model_validate(
    {
        "name": "honeycomb ferromagnet",
        "lattice": {"a": 6.0, "b": 6.0, "c": 7.0, "gamma": 120.0},
        "parameters": {"J": {"value": -3.0}},
        "sites": [
            {
                "name": "M",
                "ion": "Mn4+",
                "spin": 1.5,
                "positions": [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]],
                "direction": [0, 0, 1],
            }
        ],
        "bonds": [{"parameter": "J", "shell": 1}],
        "view": {"horizontal": [1, 0, 0], "vertical": [-1, 2, 0]},
    }
)
CASES = (
    ("PCSMO Goodenough", "Goodenough", None, "MAPS", 50.0, 12),
    ("PCSMO Goodenough", "Goodenough", None, "MAPS", 140.0, 20),
    ("PCSMO Dimer", "Dimer", None, "MERLIN", 70.0, 12),
    ("Rb2MnF4", "rb2mnf4", {"J1": 0.65}, "MERLIN", 16.0, 12),
    ("Rb2MnF4", "rb2mnf4", {"J1": 0.65}, "LET", 12.0, 20),
    ("square, J = 4", "rb2mnf4", {"J1": 4.0}, "SEQUOIA", 90.0, 16),
    ("square, J = 2, −0.3", "rb2mnf4", {"J1": 2.0, "J2": -0.3}, "ARCS", 50.0, 16),
    ("honeycomb ferromagnet", HONEYCOMB, None, "MAPS", 60.0, 16),
    ("honeycomb ferromagnet", HONEYCOMB, None, "MARI", 40.0, 16),
)
"""Name, model, constants in meV, instrument, incident energy in meV, energy bins from 0.1 to 0.7 of it."""
NOISE = {"clean": 0.0, "measured-like": 0.06, "weak": 0.4}
"""Variance over intensity, of the mean intensity."""
COLUMNS = ("raw", "stops", "discrepancy", "best", "TV best")
MOST = 30
WEIGHTS = (0.002, 0.005, 0.01)


def pair(case: tuple, grid: int) -> tuple[Histogram, Histogram]:
    """A clean measurement and its truth."""
    _, model, constants, instrument, energy, bins = case
    binning = Binning.regular(energy, bins=(40, 40, bins))
    convolved, integrated = (
        simulate(model, constants, binning=binning, kind=kind, instrument=instrument, grid=grid)
        for kind in ("convolved", "integrated")
    )
    return convolved, integrated


def with_noise(clean: Histogram, level: float, seed: int) -> tuple[Array, Array]:
    """Counts of a level of noise with 5 % of the mean intensity below them, and their variance."""
    values = np.where(clean.mask, 0.0, clean.intensity)
    mean = values[~clean.mask].mean()
    variance = level * mean * (values + 0.05 * mean) * ~clean.mask
    noise = np.sqrt(variance) * np.random.default_rng(seed).standard_normal(values.shape)
    return (values + noise).astype(np.float32), variance.astype(np.float32)


def total_variation(blur: MeasuredBlur, y: Array, weight: float) -> Iterator[Array]:
    """Richardson–Lucy with x / (1 − weight · div(∇x / |∇x|)) after each iteration."""
    data = positive(blur, y)
    x = np.maximum(blur.blur(data), 1e-6 * data.mean() + 1e-30) * blur.measured
    reach = np.maximum(blur.adjoint(np.ones_like(data)), 1e-3)
    small = 1e-3 * float(data.mean())
    while True:
        yield x
        again = blur.blur(x)
        x = x * blur.adjoint(np.divide(data, again, out=np.zeros_like(data), where=again > 0)) / reach
        x = x / np.maximum(1 - weight * curvature(x, blur.measured, small), 0.2)


def curvature(x: Array, measured: Array, small: float) -> Array:
    """The divergence of the unit gradient, over measured neighbours."""
    steps = []
    for axis in range(x.ndim):
        step = np.zeros_like(x)
        head = tuple(slice(None, -1) if i == axis else slice(None) for i in range(x.ndim))
        step[head] = np.diff(x, axis=axis) * (np.minimum(measured[head], np.roll(measured, -1, axis)[head]))
        steps.append(step)
    length = np.sqrt(sum(step**2 for step in steps) + small**2)
    total = np.zeros_like(x)
    for axis, step in enumerate(steps):
        unit = step / length
        total += unit
        tail = tuple(slice(1, None) if i == axis else slice(None) for i in range(x.ndim))
        head = tuple(slice(None, -1) if i == axis else slice(None) for i in range(x.ndim))
        total[tail] -= unit[head]
    return total


def errors(blur: MeasuredBlur, y: Array, variance: Array, truth: Array) -> dict[str, float]:
    """The relative L2 of each column."""
    size = float(np.linalg.norm(truth))

    def error(x: Array) -> float:
        return float(np.linalg.norm(x * blur.measured - truth)) / size

    path = [
        (error(x), float(np.square(y * blur.measured - again).sum()))
        for x, again in islice(iterates(blur, y), MOST + 1)
    ]
    explained = [distance for distance, residual in path if residual <= variance.sum()]
    smooth = (error(x) for weight in WEIGHTS for x in islice(total_variation(blur, y, weight), MOST + 1))
    return {
        "raw": error(y),
        "stops": error(richardson_lucy(blur, y, variance).intensity),
        "discrepancy": (explained or [path[-1][0]])[0],
        "best": min(distance for distance, _ in path),
        "TV best": min(smooth),
    }


def times(repeats: int = 2) -> dict[str, float]:
    """CPU seconds, the least of some runs."""
    mosaic = simulate("Goodenough", noise=0.7, grid=12)
    binning = Binning.regular(140.0, bins=(60, 60, 60))
    volume = simulate("Goodenough", noise=0.7, grid=12, binning=binning)
    seconds = {}
    for name, data in (("mosaic 240 x 400", mosaic), ("volume 60^3", volume)):
        for uncertainty in (False, True):
            runs = []
            for _ in range(repeats):
                start = process_time()
                deconvolve_known(data, Setting(), ClassicalOptions(uncertainty=uncertainty))
                runs.append(process_time() - start)
            seconds[f"{name}, {'16 replicas' if uncertainty else 'without errors'}"] = min(runs)
    return seconds


def table(seeds: int, grid: int) -> list[dict[str, str | float]]:
    """Print the errors of every material and noise, and their medians."""
    figures: list[dict[str, str | float]] = []
    print("| material | instrument, Ei | data | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (3 + len(COLUMNS)) + "|")
    for case in CASES:
        clean, integrated = pair(case, grid)
        mask = clean.mask | integrated.mask
        clean = clean.replace(mask=mask)
        lattice = None if isinstance(case[1], str) else tuple(case[1].lattice.model_dump().values())
        blur = resolution_on(clean, complete(Setting(lattice=lattice), clean)).on(mask)
        truth = np.where(mask, 0.0, integrated.intensity).astype(np.float32)
        for kind, level in NOISE.items():
            runs = [
                errors(blur, *with_noise(clean, level, seed), truth) for seed in range(seeds if level else 1)
            ]
            row = {column: float(np.mean([run[column] for run in runs])) for column in COLUMNS}
            figures.append(
                {"material": case[0], "instrument": case[3], "energy": case[4], "data": kind, **row}
            )
            numbers = " | ".join(f"{row[column]:.3f}" for column in COLUMNS)
            print(f"| {case[0]} | {case[3]}, {case[4]:g} meV | {kind} | {numbers} |", flush=True)
    for kind in NOISE:
        rows = [row for row in figures if row["data"] == kind]
        numbers = " | ".join(f"{np.median([row[column] for row in rows]):.3f}" for column in COLUMNS)
        print(f"| median of {len(rows)} | | {kind} | {numbers} |")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="of the noise")
    parser.add_argument("--grid", type=int, default=60, help="half the points per r.l.u. of the simulation")
    parser.add_argument("--times", action="store_true", help="the CPU seconds instead")
    parser.add_argument("--json", type=Path, help="also write the figures")
    args = parser.parse_args()
    seconds = times() if args.times else {}
    for name, value in seconds.items():
        print(f"{name}: {value:.1f} s")
    figures = [] if args.times else table(args.seeds, args.grid)
    if args.json:
        args.json.write_text(json.dumps({"errors": figures, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
