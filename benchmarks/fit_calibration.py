"""How often the errors of a fit hold, on simulated data.

    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py square --spectra 200 --out square.jsonl
    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py manganite --spectra 20 --out manganite.jsonl
    OMP_NUM_THREADS=1 python benchmarks/fit_calibration.py time

``square``: one volume of the square-lattice antiferromagnet, some seconds each. ``manganite``: mosaics of
both models, fitted with both, minutes each; ``width_scale``, ``line_width`` and the mask vary, too. Each
spectrum has constants from a range, a scale, a background, noise of known variance, and one of these
conditions: nothing else, a background that changes with Q, widths of the resolution 10 % off (``square``), or
a sheet of phonons with 30 % of the intensity. The same simulator, on the same grid, makes and fits the data:
so this tests the statistics and the search, not the physics. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

from mantid_exp2sim import Binning, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.fitting.data import prepare_data
from mantid_exp2sim.fitting.model import NUISANCES, fit_model
from mantid_exp2sim.fitting.result import ModelFit
from mantid_exp2sim.fitting.search import Objective, refine
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, WINDOW_EDGES, picture_from_volumes, volumes_from_picture
from mantid_exp2sim.simulation.binning import mosaic_binnings
from mantid_exp2sim.simulation.drawn_masks import draw_mask
from mantid_exp2sim.simulation.instrument import MAPS
from mantid_exp2sim.simulation.manganite import PARAMETERS, RANGES, ModelName
from mantid_exp2sim.simulation.measurement import solve
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError
from mantid_exp2sim.simulation.volume_bins import MOSAIC

GRID = 15
CONDITIONS = ("clean", "background", "width", "phonons")
MODELS: tuple[ModelName, ModelName] = ("Goodenough", "Dimer")
LINE = np.linspace(-1, 1, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Data, the model and the parameters that they are of, and the condition."""

    data: Histogram
    model: str
    truth: dict[str, float]
    condition: str


def square(number: int) -> Case:
    """Draw a volume of Rb2MnF4."""
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
    return Case(ideal.replace(intensity=noisy, variance=variance), "Rb2MnF4", truth, condition)


def manganite(number: int) -> Case:
    """Draw a mosaic of one of both models, everything from the priors of the fit."""
    rng = np.random.default_rng([20, number])
    model, condition = MODELS[number % 2], ("clean", "background", "phonons")[number // 2 % 3]
    while True:
        width = np.clip(rng.normal(1, 0.2), *NUISANCES["width_scale"][0])
        line = abs(rng.normal())
        constants = [rng.uniform(low, high) for low, high in RANGES[model]]
        try:
            waves = solve(model, constants, Options(MAPS.scaled(width), grid=GRID, line_width=line))
            volumes = np.stack([waves.volume(binning) for binning in mosaic_binnings()])
        except UnstableStructureError:
            continue
        break
    truth = dict(zip(PARAMETERS[model], constants, strict=True)) | {"width_scale": width, "line_width": line}
    empty = simulate(model, grid=4)
    own = volumes_from_picture(empty.mask)
    hidden = picture_from_volumes(draw_mask(rng, "tubes", own, MOSAIC, np.array(INCIDENT_ENERGIES)))
    expected = rng.uniform(0.2, 0.4) * picture_from_volumes(volumes)
    expected = expected + rng.exponential(0.4) * _falling() + 0.1
    mean = expected[~hidden].mean()
    if condition == "background":
        expected = expected + mean * rng.uniform(0.1, 0.5) * _in_q(LINE**2)
    if condition == "phonons":
        expected = expected + _sheet(rng, 0.3 * mean)
    variance = rng.uniform(0.1, 0.3) * expected + 0.05
    noisy = expected + np.sqrt(variance) * rng.standard_normal(expected.shape)
    return Case(empty.replace(intensity=noisy, variance=variance, mask=hidden), model, truth, condition)


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


class Stopwatch:
    """Seconds of the parts of a fit, told apart by what its progress says."""

    def __init__(self) -> None:
        self.begun = self.last = time.process_time()
        self.part = "data"
        self.parts: dict[str, float] = {}
        self.first_answer: float | None = None

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.process_time()
        self.parts[self.part] = self.parts.get(self.part, 0.0) + now - self.last
        named = next((name for name in ("start", "sample") if f": {name} " in text), "descents")
        self.part, self.last = "posterior" if "first answer" in text else named, now
        if self.first_answer is None and self.part in ("posterior", "descents"):
            self.first_answer = now - self.begun


def row(what: str, number: int, samples: int, starts: int, posterior: str) -> dict[str, Any]:
    """Fit one spectrum, and compare with the truth."""
    case = manganite(number) if what == "manganite" else square(number)
    models, grid = (MODELS, GRID) if what == "manganite" else (("rb2mnf4",), 8)
    options = FitOptions(
        grid=grid,
        samples=samples,
        starts=starts,
        seed=number,
        posterior=posterior,
        line_width="line_width" in case.truth,
    )
    start, watch = time.perf_counter(), Stopwatch()
    result = fit(case.data, models, options=options, progress=watch)
    watch(0, 0, "")
    seconds = time.perf_counter() - start
    right = result.models[case.model]
    draws, mean, sd = right.posterior, right.mean, right.sd
    values = np.array([case.truth[name] for name in right.names])
    ranks = ((draws.samples < values) * draws.weights[:, None]).sum(axis=0)
    pulls = {name: (mean[name] - case.truth[name]) / sd[name] for name in right.names}
    return {
        "number": number,
        "model": case.model,
        "condition": case.condition,
        "starts": next(note for note in result.notes if note.startswith(f"{case.model}: starts")),
        "pulls": pulls,
        "ranks": dict(zip(right.names, ranks.tolist(), strict=True)),
        "off": {name: mean[name] - case.truth[name] for name in right.names},
        "missed": missed(case, right, options),
        "chi2_reduced": right.chi2_reduced,
        "p_value": right.p_value,
        "explained": {name: item.explained for name, item in result.models.items()},
        "evidence": {name: item.posterior.log_evidence for name, item in result.models.items()},
        "leading": result.leading.name,
        "neither": result.neither,
        "modes": len(right.modes),
        "permutations": list(right.permutations),
        "effective": draws.effective,
        "seconds": seconds,
        "cpu_seconds": watch.last - watch.begun,
        "first_answer": watch.first_answer,
        "parts": watch.parts,
    }


def missed(case: Case, found: ModelFit, options: FitOptions) -> float:
    """Loss of the best mode above that of a descent from the truth; below 1 the search has missed nothing."""
    parts = prepare_data([Measurement(case.data)])[0].parts
    objective = Objective(fit_model(found_model(case.model), options), parts, options)
    values = found.modes[0][0]
    best = objective.loss(np.array([values[name] for name in found.names]), options.grid)
    truth = np.array([case.truth[name] for name in found.names])
    return float(best - refine(objective, truth, options.grid, lambda text: None).loss)


def found_model(name: str) -> str:
    """The name by which `fit` knows a model."""
    return "rb2mnf4" if name == "Rb2MnF4" else name


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
    for condition in ("all", *dict.fromkeys(r["condition"] for r in rows)):
        part = [r for r in rows if condition in ("all", r["condition"])]
        constants = [[name for name in r["pulls"] if name not in NUISANCES] for r in part]
        pulls = [
            np.array([abs(r["pulls"][name]) for name in names])
            for r, names in zip(part, constants, strict=True)
        ]
        every = np.concatenate(pulls)
        ranks = [r["ranks"][name] for r, names in zip(part, constants, strict=True) for name in names]
        reached = sum(r["missed"] < 1 for r in part)
        right = sum(r["leading"] == r["model"] for r in part)
        flagged = [r["p_value"] < 1e-3 for r in part]
        wrong = sum(p.max() > 3 and not flag for p, flag in zip(pulls, flagged, strict=True))
        lines.append(
            f"{condition:>10}: {len(part)} spectra, the mode of a descent from the truth or a better one in "
            f"{reached}, the right model leads in {right} (log score {_log_score(part):.2g}); coverage "
            f"{np.mean(every < 1):.2f} (68 %) {np.mean(every < 2):.2f} (95 %) of {every.size} constants, "
            f"ranks uniform p = {kstest(ranks, 'uniform').pvalue:.2g}; p < 0.001 in {sum(flagged)}, neither "
            f"in {sum(r['neither'] for r in part)}; more than 3 errors off and not flagged: {wrong}"
        )
    lines += [_ranks(rows), _modes(rows), _parts(rows)]
    return "\n".join(lines)


def _log_score(rows: list[dict[str, Any]]) -> float:
    """Mean of -ln of the right model's probability."""
    scores = []
    for r in rows:
        logs = np.array(list(r["evidence"].values()))
        scores.append(np.logaddexp.reduce(logs) - r["evidence"][r["model"]])
    return float(np.mean(scores))


def _ranks(rows: list[dict[str, Any]]) -> str:
    """p-values of uniform ranks (simulation-based calibration) of every parameter."""
    texts = []
    for model in dict.fromkeys(r["model"] for r in rows):
        part = [r["ranks"] for r in rows if r["model"] == model]
        tests = {name: kstest([r[name] for r in part], "uniform").pvalue for name in part[0]}
        listed = ", ".join(f"{name} {p:.2g}" for name, p in tests.items())
        texts.append(f"{model} ({len(part)}): {listed}")
    return "ranks of each parameter uniform, p: " + "; ".join(texts)


def _modes(rows: list[dict[str, Any]]) -> str:
    several = sum(r["modes"] > 1 for r in rows)
    names = [text for r in rows for text in r["permutations"]]
    listed = ", ".join(f"{name} in {names.count(name)}" for name in dict.fromkeys(names)) or "none"
    return f"several modes in {several} of {len(rows)} spectra; exchanged constants: {listed}"


def _parts(rows: list[dict[str, Any]]) -> str:
    """Median CPU seconds of the parts of a fit."""
    names = dict.fromkeys(name for r in rows for name in r["parts"])
    medians = {name: np.median([r["parts"].get(name, 0.0) for r in rows]) for name in names}
    listed = ", ".join(f"{name} {seconds:.1f}" for name, seconds in medians.items())
    whole, first = (np.median([r[name] for r in rows]) for name in ("cpu_seconds", "first_answer"))
    return f"CPU seconds (median): first answer {first:.1f}, whole fit {whole:.0f}; of it {listed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("square", "manganite", "time"))
    parser.add_argument("--spectra", type=int, default=20)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--posterior", default="auto", help="starts of the search: auto, none or a folder")
    parser.add_argument("--out", type=Path, default=Path("calibration.jsonl"))
    args = parser.parse_args()
    if args.what == "time":
        print(times())
        return
    lines = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in lines]
    for number in range(len(rows), args.spectra):
        rows.append(row(args.what, number, args.samples, args.starts, args.posterior))
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(summary(rows))


if __name__ == "__main__":
    main()
