"""How often the errors of a fit hold, on simulated data.

    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py square --spectra 200 --out square.jsonl
    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py manganite --spectra 20 --out manganite.jsonl
    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py time

``square``: one volume of the square-lattice antiferromagnet, some seconds each. ``manganite``: mosaics of
both models, fitted with both, minutes each. Each spectrum has constants from a range, a scale, a background,
noise of known variance, and one of four conditions: nothing else, a background that changes with Q, widths of
the resolution 10 % off, or a sheet of phonons with 30 % of the intensity. The same simulator, on the same
grid, makes and fits the data: so this tests the statistics and the search, not the physics. A run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

from mantid_exp2sim import Binning, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.fitting.data import prepare_data
from mantid_exp2sim.fitting.model import fit_model
from mantid_exp2sim.fitting.search import Objective
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, WINDOW_EDGES, picture_from_volumes
from mantid_exp2sim.simulation.manganite import PARAMETERS, RANGES, ModelName
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError

GRID = 15
CONDITIONS = ("clean", "background", "width", "phonons")
MODELS: tuple[ModelName, ModelName] = ("Goodenough", "Dimer")
LINE = np.linspace(-1, 1, 40)


def square(number: int) -> tuple[Histogram, str, dict[str, float], str]:
    """Draw a volume of Rb2MnF4: data, model, true parameters, condition."""
    rng = np.random.default_rng([21, number])
    condition = CONDITIONS[number % 4]
    width = 1.0 if condition != "width" else 1 + 0.1 * rng.choice([-1, 1])
    truth = {"J1": rng.uniform(0.4, 0.7), "J2": rng.uniform(-0.1, 0.15), "width_scale": width}
    binning = Binning.regular(14.0, bins=(14, 14, 6), energy=(1.4, 9.8))
    ideal = simulate("rb2mnf4", [truth["J1"], truth["J2"]], binning=binning, grid=8, width_scale=width)
    expected = rng.uniform(0.2, 0.4) * np.nan_to_num(ideal.intensity)
    mean = expected[~ideal.mask].mean()
    h, k, energy = binning.centres
    plane = (h[:, None] ** 2 + k[None] ** 2)[..., None]
    expected = expected + rng.exponential(0.2) * mean * np.exp(-energy / 4)
    if condition == "background":
        expected = expected + mean * rng.uniform(0.1, 0.5) * plane
    if condition == "phonons":
        omega = rng.uniform(6, 20) * np.sin(0.5 * np.pi * np.minimum(np.sqrt(plane), 1)) + 0.5
        sheet = plane / omega * np.exp(-0.5 * ((energy - omega) / 0.7) ** 2)
        expected = expected + 0.3 * mean * sheet / sheet.mean()
    variance = rng.uniform(0.5, 2.0) * 0.05 * mean * (expected + 0.1 * mean)
    noisy = expected + np.sqrt(variance) * rng.standard_normal(expected.shape)
    return ideal.replace(intensity=noisy, variance=variance), "Rb2MnF4", truth, condition


def manganite(number: int) -> tuple[Histogram, str, dict[str, float], str]:
    """Draw a spectrum: data, model, true parameters, condition."""
    rng = np.random.default_rng([20, number])
    model, condition = MODELS[number % 2], CONDITIONS[number // 2 % 4]
    width = 1.0 if condition != "width" else 1 + 0.1 * rng.choice([-1, 1])
    while True:
        constants = [rng.uniform(low, high) for low, high in RANGES[model]]
        try:
            ideal = simulate(model, constants, grid=GRID, width_scale=width)
        except UnstableStructureError:
            continue
        break
    truth = dict(zip(PARAMETERS[model], constants, strict=True)) | {"width_scale": width}
    expected = rng.uniform(0.2, 0.4) * np.nan_to_num(ideal.intensity)
    expected = expected + rng.exponential(0.4) * _falling() + 0.1
    mean = expected[~ideal.mask].mean()
    if condition == "background":
        expected = expected + mean * rng.uniform(0.1, 0.5) * _in_q(LINE**2)
    if condition == "phonons":
        expected = expected + _sheet(rng, 0.3 * mean)
    variance = rng.uniform(0.1, 0.3) * expected + 0.05
    noisy = expected + np.sqrt(variance) * rng.standard_normal(expected.shape)
    return ideal.replace(intensity=noisy, variance=variance), model, truth, condition


def _falling() -> Any:
    volume = np.broadcast_to(np.exp(-np.arange(10) / 5), (6, 40, 40, 10))
    return picture_from_volumes(volume)


def _in_q(line: Any) -> Any:
    plane = line[:, None] + line[None]
    return picture_from_volumes(np.broadcast_to(plane[..., None], (6, 40, 40, 10)))


def _sheet(rng: np.random.Generator, mean: float) -> Any:
    """Acoustic phonons with ω = top · |sin(π q / 2)|, intensity ∝ Q²/ω, in lines of 8 % of Ei."""
    top = rng.uniform(20, 60)
    q = np.hypot(LINE[:, None], LINE[None])
    omega = top * np.abs(np.sin(0.5 * np.pi * np.minimum(q, 1))) + 1
    volumes = []
    for ei in INCIDENT_ENERGIES:
        centres = 0.5 * (WINDOW_EDGES[1:] + WINDOW_EDGES[:-1]) * ei
        lines = np.exp(-0.5 * ((centres - omega[..., None]) / (0.034 * ei)) ** 2) / ei
        volumes.append((q**2 / omega)[..., None] * lines)
    picture = picture_from_volumes(np.array(volumes))
    return mean * picture / picture.mean()


def row(what: str, number: int, samples: int, starts: int) -> dict[str, Any]:
    """Fit one spectrum, and compare with the truth."""
    data, model, truth, condition = manganite(number) if what == "manganite" else square(number)
    start, cpu = time.perf_counter(), time.process_time()
    models, grid = (MODELS, GRID) if what == "manganite" else (("rb2mnf4",), 8)
    result = fit(data, models, options=FitOptions(grid=grid, samples=samples, starts=starts, seed=number))
    right = result.models[model]
    posterior, mean, sd = right.posterior, right.mean, right.sd
    values = np.array([truth[name] for name in right.names])
    ranks = ((posterior.samples < values) * posterior.weights[:, None]).sum(axis=0)
    pulls = {name: (mean[name] - truth[name]) / sd[name] for name in right.names}
    return {
        "number": number,
        "model": model,
        "condition": condition,
        "pulls": pulls,
        "ranks": dict(zip(right.names, ranks.tolist(), strict=True)),
        "off": {name: mean[name] - truth[name] for name in right.names},
        "chi2_reduced": right.chi2_reduced,
        "p_value": right.p_value,
        "explained": {name: item.explained for name, item in result.models.items()},
        "evidence": {name: item.posterior.log_evidence for name, item in result.models.items()},
        "leading": result.leading.name,
        "neither": result.neither,
        "modes": len(right.modes),
        "effective": posterior.effective,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
    }


def times() -> str:
    """Measure CPU seconds of one simulated mosaic, of its six derivatives and of its linear terms."""
    options = FitOptions(width_scale=False)
    data = simulate("Goodenough")
    data = data.replace(variance=np.nan_to_num(data.intensity) + 1.0)
    parts = prepare_data([Measurement(data)])[0].parts
    objective = Objective(fit_model("Goodenough", options), parts, options)
    at, grid = objective.model.start + 0.01, options.grid
    seconds = {}
    for name, task in (
        ("one simulation", lambda: objective.spectra(at, grid)),
        ("six derivatives", lambda: objective.derivatives(at, objective.slope_grid(grid))),
        ("linear terms", lambda: objective.linear(objective.spectra(at, 8))),
    ):
        task()
        start = time.process_time()
        for _ in range(3):
            task()
        seconds[name] = (time.process_time() - start) / 3
    ratio = seconds["six derivatives"] / seconds["one simulation"]
    listed = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    return f"CPU: {listed} (with a coarse simulation); derivatives over simulation {ratio:.1f}"


def summary(rows: list[dict[str, Any]]) -> str:
    """Say coverage, calibration, search, choice and time."""
    lines = []
    for condition in ("all", *CONDITIONS):
        part = [r for r in rows if condition in ("all", r["condition"])]
        if not part:
            continue
        constants = [[name for name in r["pulls"] if name != "width_scale"] for r in part]
        pulls = [
            np.array([abs(r["pulls"][name]) for name in names])
            for r, names in zip(part, constants, strict=True)
        ]
        ranks = [r["ranks"][name] for r, names in zip(part, constants, strict=True) for name in names]
        every = np.concatenate(pulls)
        reached = sum(p.max() < 6 for p in pulls)
        right = sum(r["leading"] == r["model"] for r in part)
        flagged = [r["p_value"] < 1e-3 for r in part]
        wrong = sum(p.max() > 3 and not flag for p, flag in zip(pulls, flagged, strict=True))
        lines.append(
            f"{condition:>10}: {len(part)} spectra, all constants within 6 errors in {reached}, the right "
            f"model leads in {right}; coverage {np.mean(every < 1):.2f} (68 %) {np.mean(every < 2):.2f} "
            f"(95 %) of {every.size} constants, ranks uniform p = {kstest(ranks, 'uniform').pvalue:.2g}; "
            f"p < 0.001 in {sum(flagged)}, neither in {sum(r['neither'] for r in part)}; more than 3 errors "
            f"off and not flagged: {wrong}; CPU {np.median([r['cpu_seconds'] for r in part]):.0f} s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("square", "manganite", "time"))
    parser.add_argument("--spectra", type=int, default=20)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("calibration.jsonl"))
    args = parser.parse_args()
    if args.what == "time":
        print(times())
        return
    lines = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in lines]
    for number in range(len(rows), args.spectra):
        rows.append(row(args.what, number, args.samples, args.starts))
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(summary(rows))


if __name__ == "__main__":
    main()
