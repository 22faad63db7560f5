"""Say what each nuisance changes in the fit of the measured manganite, and whether its energies agree.

    OMP_NUM_THREADS=1 python studies/measured_nuisances.py FOLDER [--out DIR] [--rounds 3]

FOLDER holds ``measured_4K_clipped_120.npy`` and ``nanmask.mat``: development data, since errors and terms
were worked out on them. The spectra are expanded to first order about a place that moves with the fit, so
that every row costs seconds, not minutes; ``studies/fit_measured.py`` makes the same fits in full. Errors are
those of the inversion pairs at the first row, and the same for all rows. DIR keeps the last expansion.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

from mantid_exp2sim import FitOptions, Measurement, load
from mantid_exp2sim.fitting.data import Part, pair_errors, prepare_data
from mantid_exp2sim.fitting.likelihood import linear_terms, tilt
from mantid_exp2sim.fitting.model import FitModel, fit_model
from mantid_exp2sim.fitting.search import Mode, Objective, refine
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.manganite import BEST_FIT, PARAMETERS, ModelName

LOOSE = FitOptions(scale="sloped", background="smooth")
EVERY = replace(LOOSE, misalignment=True)
NEUTRAL = {"width_scale": 1.0, "line_width": 0.0, "shift_h": 0.0, "shift_k": 0.0}
START = {"JF1": -11.4, "JA": 1.4, "JF2": -1.4, "JF3": 1.5, "Jperp": 1.1, "D": 0.1, "width_scale": 1.8}
"""About the end of a fit with one scale and a flat background."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Spectra about ``at`` (p,) of ``names``: by Ei the volume (nh, nk, nE) and slopes (nh, nk, nE, p)."""

    model: ModelName
    names: tuple[str, ...]
    at: Floats
    volumes: dict[float, Floats]
    slopes: dict[float, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Expansion(FitModel):
    """A model whose spectra are linear in its parameters."""

    place: Place

    def spectra(self, free: Floats, parts: Sequence[Part], grid: int) -> list[Floats]:
        """Return the spectra of the expansion."""
        values = NEUTRAL | self.values(free)
        step = np.array([values[name] for name in self.place.names]) - self.place.at
        energies = [part.binning.incident_energy for part in parts]
        return [self.place.volumes[ei] + self.place.slopes[ei] @ step for ei in energies]


def expansion(place: Place, options: FitOptions) -> Expansion:
    """Return the expanded model with the free parameters of the options."""
    model = fit_model(place.model, options)
    return Expansion(**{field.name: getattr(model, field.name) for field in fields(FitModel)}, place=place)


def expand(
    parts: Sequence[Part],
    options: FitOptions,
    at: dict[str, float],
    name: ModelName = "Goodenough",
    *,
    slopes: bool = True,
) -> Place:
    """Simulate spectra at ``at`` on the full grid, and with ``slopes`` their differences on a coarser one."""
    model = fit_model(name, options)
    centre = np.array([at.get(name, NEUTRAL.get(name, 0.0)) for name in model.names])
    volumes = model.spectra(centre, parts, options.grid)
    energies = [part.binning.incident_energy for part in parts]
    if not slopes:
        return Place(name, model.names, centre, dict(zip(energies, volumes, strict=True)), {})
    coarse = model.spectra(centre, parts, 18)
    columns: list[list[Floats]] = [[] for _ in parts]
    for number, parameter in enumerate(model.free):
        moved = centre.copy()
        moved[number] += parameter.step
        for column, after, before in zip(columns, model.spectra(moved, parts, 18), coarse, strict=True):
            column.append((after - before) / parameter.step)
    by_energy = {ei: np.stack(column, -1) for ei, column in zip(energies, columns, strict=True)}
    return Place(name, model.names, centre, dict(zip(energies, volumes, strict=True)), by_energy)


def best(place: Place, parts: tuple[Part, ...], options: FitOptions) -> tuple[Objective, Mode]:
    """Fit the expanded model."""
    objective = Objective(expansion(place, options), parts, options)
    values = dict(zip(place.names, place.at.tolist(), strict=True))
    start = np.array([values.get(name, NEUTRAL.get(name, 0.0)) for name in objective.model.names])
    return objective, refine(objective, start, options.grid, lambda _: None)


def expected(objective: Objective, mode: Mode) -> list[Floats]:
    """Return the intensity of the fit in every bin of each part."""
    volumes = objective.model.spectra(mode.free, objective.parts, 0)
    out = []
    for part, volume, solved in zip(
        objective.parts, volumes, objective.linear(objective.chosen(volumes)), strict=True
    ):
        scale, slope, *others = solved.coefficients
        terms = (linear_terms(part, objective.options) @ np.array(others)).reshape(volume.shape)
        out.append((scale + slope * tilt(part)) * volume + terms)
    return out


def pairs(objective: Objective, mode: Mode) -> None:
    """Print what the errors say of the pairs: squared differences and zeros, measured and expected.

    And the slope of each scale over the scale: kf/ki has -0.66 to -0.9 in units of E/Ei.
    """
    solved = objective.linear(objective.spectra(mode.free, 0))
    slopes = " ".join(f"{line.coefficients[1] / line.coefficients[0]:.2f}" for line in solved)
    print(f"  slopes of the scales: {slopes}")
    rng = np.random.default_rng(0)
    for part, mean in zip(objective.parts, expected(objective, mode), strict=True):
        both = part.used & part.used[::-1, ::-1]
        drawn = [np.maximum(mean + part.sigma * rng.standard_normal(mean.shape), 0) for _ in range(10)]
        ratio = np.mean(_differences(part, part.intensity, both)) / np.mean(
            [_differences(part, values, both) for values in drawn]
        )
        zeros, likely = (part.intensity == 0)[both].mean(), norm.cdf(-mean / part.sigma)[both].mean()
        left = (part.intensity - mean) / part.sigma
        shared = (left * left[::-1, ::-1])[both & (part.intensity * part.intensity[::-1, ::-1] > 0)].mean()
        print(
            f"  {part.binning.incident_energy:.0f} meV: squared differences of pairs {ratio:.2f} of those "
            f"expected; zeros {zeros:.3f}, expected {likely:.3f}; residuals of partners share {shared:.2f}"
        )


def _differences(part: Part, values: Floats, both: Booleans) -> Floats:
    return np.asarray(((values - values[::-1, ::-1]) / part.sigma)[both] ** 2)


def squares(objective: Objective, mode: Mode) -> tuple[list[Floats], int]:
    """Squared residuals of the bins of each part, and the number of all free parameters."""
    linear = objective.linear(objective.spectra(mode.free, 0))
    listed = [
        bins.squares(solved.design @ solved.coefficients)
        for bins, solved in zip(objective.bins, linear, strict=True)
    ]
    return listed, mode.free.size + sum(int(solved.free.sum()) for solved in linear)


def tell(title: str, objective: Objective, mode: Mode) -> tuple[Floats, Floats]:
    """Print a row; return parameters and errors, widened where χ² is above 1."""
    listed, number = squares(objective, mode)
    every = np.concatenate(listed)
    reduced = every.sum() / (every.size - number)
    sd = np.sqrt(np.diag(mode.covariance) * max(reduced, 1.0))
    constants = ", ".join(
        f"{name} {value:.3f}({error:.3f})"
        for name, value, error in zip(objective.model.names, mode.free, sd, strict=True)
    )
    print(f"{title}: {every.size} bins, χ² {reduced:.3f}, loss {mode.loss:.0f}, {constants}", flush=True)
    return mode.free, sd


def panels(objective: Objective, mode: Mode) -> None:
    """Print χ² of each panel, and the share of bins in panels between 0.97 and 1.03, or below 1.03."""
    listed, _ = squares(objective, mode)
    within = below = total = 0
    for part, bins, values in zip(objective.parts, objective.bins, listed, strict=True):
        number = part.panel[bins.index % part.panel.size]
        row = [values[number == panel] for panel in range(int(part.panel.max()) + 1)]
        means = np.array([line.mean() if line.size else np.nan for line in row])
        sizes = np.array([line.size for line in row])
        within += sizes[(means > 0.97) & (means < 1.03)].sum()
        below += sizes[means < 1.03].sum()
        total += sizes.sum()
        print(f"  {part.binning.incident_energy:.0f} meV: " + " ".join(f"{mean:.2f}" for mean in means))
    print(f"  bins in panels of 0.97 to 1.03: {within / total:.1%}; of less than 1.03: {below / total:.1%}")


def agreement(names: tuple[str, ...], rows: list[tuple[Floats, Floats]]) -> None:
    """Print how far single incident energies are from their mean: χ² of each constant, largest pull."""
    values, errors = (np.array([row[i] for row in rows]) for i in (0, 1))
    mean = (values / errors**2).sum(0) / (errors**-2.0).sum(0)
    pulls = (values - mean) / np.sqrt(np.maximum(errors**2 - 1 / (errors**-2.0).sum(0), 1e-12))
    scatter = np.sqrt((((values - mean) / errors) ** 2).sum(0) / (len(rows) - 1))
    for name, middle, spread, line in zip(names, mean, scatter, pulls.T, strict=True):
        print(
            f"  {name}: mean {middle:.3f}, scatter {spread:.2f} errors, pulls "
            + " ".join(f"{p:+.1f}" for p in line)
        )


def disagreement(objective: Objective, mode: Mode, place: Place) -> None:
    """Print how far panels pull each parameter apart: variance over that of noise."""
    linear = objective.linear(objective.spectra(mode.free, 0))
    number = [place.names.index(name) for name in objective.model.names]
    slopes = [place.slopes[part.binning.incident_energy][..., number] for part in objective.parts]
    columns = [
        slope.reshape(-1, len(number))[bins.index] for slope, bins in zip(slopes, objective.bins, strict=True)
    ]
    covariance = np.linalg.inv(objective.curvature(linear, columns))
    factors = np.diag(covariance @ objective.scatter(linear, columns) @ covariance) / np.diag(covariance)
    listed = ", ".join(f"{n} {f:.1f}" for n, f in zip(objective.model.names, factors, strict=True))
    print(f"variances from the disagreement of panels over those of noise: {listed}", flush=True)


def further(parts: tuple[Part, ...], options: FitOptions, at: dict[str, float], name: ModelName) -> None:
    """Expand about another place, three times, and print the row."""
    for number in range(3):
        place = expand(parts, options, at, name)
        objective, mode = best(place, parts, options)
        at = dict(zip(objective.model.names, mode.free.tolist(), strict=True))
        width = ", line width free" if options.line_width else ""
        tell(f"{name}{width}, round {number + 1}", objective, mode)


def main() -> None:
    """Expand, fit, and vary the nuisances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    data = load(args.folder / "measured_4K_clipped_120.npy", mask=args.folder / "nanmask.mat")
    parts = prepare_data([Measurement(data)])[0].parts
    at, kept = dict(START), args.out / "expansion.npz"
    if kept.exists():
        with np.load(kept, allow_pickle=False) as saved:
            at = dict(zip(saved["names"].tolist(), saved["at"].tolist(), strict=True))
    for number in range(args.rounds):
        place = expand(parts, EVERY, at)
        objective, mode = best(place, parts, LOOSE)
        means = expected(objective, mode)
        parts = tuple(pair_errors(part, mean) for part, mean in zip(parts, means, strict=True))
        objective, mode = best(place, parts, LOOSE)
        tell(f"round {number + 1}", objective, mode)
        at = dict(zip(objective.model.names, mode.free.tolist(), strict=True))
        np.savez(kept, names=np.array(list(at)), at=np.array(list(at.values())))
    pairs(objective, mode)
    panels(objective, mode)
    for title, options in (
        ("width fixed", replace(LOOSE, width_scale=False)),
        ("misalignment free", EVERY),
        ("phonons", replace(LOOSE, phonons=True)),
        ("background of rings", replace(LOOSE, background="rings")),
        ("flat background", replace(LOOSE, background="flat")),
        ("one scale", replace(LOOSE, scale="each")),
        ("one scale, flat background", replace(LOOSE, scale="each", background="flat")),
    ):
        tell(title, *best(place, parts, options))
    disagreement(objective, mode, place)
    fine = expand(parts, replace(EVERY, grid=60), at, slopes=False)
    tell("grid 60", *best(replace(place, volumes=fine.volumes, at=fine.at), parts, LOOSE))
    wide = replace(LOOSE, line_width=True)
    further(parts, wide, at | {"width_scale": 1.4, "line_width": 1.5}, "Goodenough")
    further(parts, LOOSE, dict(zip(PARAMETERS["Dimer"], BEST_FIT["Dimer"], strict=True)), "Dimer")
    rows = [
        tell(f"{part.binning.incident_energy:.0f} meV alone", *best(place, (part,), LOOSE)) for part in parts
    ]
    agreement(objective.model.names, rows)
    halves = [
        tell(title, *best(place, half, LOOSE))
        for title, half in (("25 to 50 meV", parts[:3]), ("70 to 140 meV", parts[3:]))
    ]
    agreement(objective.model.names, halves)


if __name__ == "__main__":
    main()
