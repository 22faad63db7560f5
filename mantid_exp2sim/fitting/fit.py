"""Fit models to measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from mantid_exp2sim.errors import Cancelled, Exp2SimError
from mantid_exp2sim.fitting.data import ALONE, EDGE, SPIKE, UNLIKE, Part, Source, pair_errors, prepare_data
from mantid_exp2sim.fitting.likelihood import Linear, linear_terms, tilt
from mantid_exp2sim.fitting.model import FitModel, fit_model
from mantid_exp2sim.fitting.options import Background, FitOptions, Measurement, Scale
from mantid_exp2sim.fitting.result import LEAST_EXPLAINED, LEAST_P, Fit, ModelFit, Term
from mantid_exp2sim.fitting.sampling import sample
from mantid_exp2sim.fitting.search import Mode, Objective, explore, patience, polish
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.simulation.excitation_model import ExcitationModel
from mantid_exp2sim.simulation.material import Description

COARSE_GRID = 0.5
"""Errors by which twice the grid may move a parameter before the notes say so."""

Model = str | Path | Description | ExcitationModel
BEHIND = 2.0
"""Times the patience of the search that a model's loss is above the lowest where it is not sampled."""
Progress = Callable[[int, int, str], None]
"""Told of steps done, of all steps (an estimate), and of what is done now."""


def fit(
    data: Histogram | Measurement | Sequence[Histogram | Measurement],
    models: Model | Sequence[Model],
    *,
    options: FitOptions | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Fit:
    """Fit the constants of one or several models to one or several measurements together.

    Parameters
    ----------
    data
        Mosaics, (h, k, E) volumes, slices or cuts: a `Histogram` (measured with MAPS) or a `Measurement`.
    models
        As in `mantid_exp2sim.simulate`: "Goodenough", "Dimer", a description or its file, or an
        `ExcitationModel` such as a plain function, or force constants of Euphonic.
    options
        What is free and how long to look; see `FitOptions`.
    progress
        Called with (steps done, steps in all, text).
    cancel
        Asked between simulations; True ends the fit with `Cancelled`.

    Returns
    -------
    Fit
        Constants in meV with errors, evidence, p-values, and what is not explained.

    Raises
    ------
    Exp2SimError
        If the data or the models cannot be fitted.
    Cancelled
        If ``cancel`` says so.
    """
    start, options = time.monotonic(), options or FitOptions()
    listed = [data] if isinstance(data, Histogram | Measurement) else list(data)
    names = list(models) if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    measurements = [item if isinstance(item, Measurement) else Measurement(item) for item in listed]
    sources = prepare_data(measurements, counts=options.errors == "poisson")
    candidates = [fit_model(model, options) for model in names]
    validate_models(candidates, options)
    tell = _Teller(progress, cancel, len(candidates), options)
    parts = tuple(part for source in sources for part in source.parts)
    explored = []
    for model in candidates:
        objective = Objective(model, parts, options)
        explored.append((objective, explore(objective, tell)))
    parts = _with_errors(explored, parts)
    fits, behind = {}, _far_behind(explored)
    for objective, modes in explored:
        name = objective.model.name
        quick = (modes[:1], replace(options, samples=0)) if name in behind else (modes, options)
        fits[name] = _finish(objective.model, parts, quick[0], sources, quick[1], tell)
    leading = max(fits.values(), key=lambda item: item.posterior.log_evidence)
    neither = leading.p_value < LEAST_P and leading.explained < LEAST_EXPLAINED
    reasons = [part.reason.astype(float) for source in sources for part in source.parts]
    bad = _histograms(sources, reasons, "why bins are not used", unit="number of the reason")
    notes = (*_notes(sources), *_start_notes(explored), *_mode_notes(fits, options, behind))
    best = None if neither else leading.name
    return Fit(fits, best, neither, bad, notes, time.monotonic() - start)


class _Teller:
    """Counts steps for the progress, and asks whether to stop."""

    def __init__(
        self,
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
        models: int,
        options: FitOptions,
    ) -> None:
        self.progress, self.cancel = progress, cancel
        self.done, self.total = 0, models * (options.starts + options.samples + 120)

    def __call__(self, text: str) -> None:
        if self.cancel is not None and self.cancel():
            raise Cancelled
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total, text)


def validate_models(models: list[FitModel], options: FitOptions) -> None:
    """Refuse no model, two of one name, and options for parameters that no model has."""
    if not models:
        raise Exp2SimError("There is no model to fit.", fix="Give at least one.")
    titles = [model.name for model in models]
    if len(set(titles)) != len(titles):
        raise Exp2SimError(
            f"Two models have one name: {', '.join(titles)}.", fix="Give each description another 'name'."
        )
    every = {name for model in models for name in (*model.constants, *model.names, *model.held, *model.tied)}
    for name in [*options.fixed, *options.bounds, *options.tied]:
        if name not in every:
            raise Exp2SimError(
                f"No model has a parameter {name!r}.", fix=f"Choose among {', '.join(sorted(every))}."
            )


def _far_behind(explored: list[tuple[Objective, list[Mode]]]) -> list[str]:
    """Models whose best mode no finer grid can bring near that of the closest model."""
    best = min(modes[0].loss for _, modes in explored)
    return [
        objective.model.name
        for objective, modes in explored
        if modes[0].loss - best > BEHIND * patience(objective)
    ]


def _with_errors(explored: list[tuple[Objective, list[Mode]]], parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Take errors from inversion pairs anew, with what the closest model expects."""
    if not any(part.paired for part in parts):
        return parts
    objective, modes = min(explored, key=lambda pair: pair[1][0].loss)
    volumes = objective.model.spectra(modes[0].free, parts, objective.options.grid)
    linear = objective.linear(objective.chosen(volumes))
    expected, _ = _predictions(volumes, objective, linear)
    return tuple(
        pair_errors(part, mean) if part.paired else part for part, mean in zip(parts, expected, strict=True)
    )


def _finish(
    model: FitModel,
    parts: tuple[Part, ...],
    starts: list[Mode],
    sources: tuple[Source, ...],
    options: FitOptions,
    tell: _Teller,
) -> ModelFit:
    """Polish the modes of a model, sample them, and say what is left."""
    objective = Objective(model, parts, options)
    modes = polish(objective, starts, tell)
    best = modes[0]
    volumes = model.spectra(best.free, parts, options.grid)
    spectra = objective.chosen(volumes)
    linear = objective.linear(spectra)
    panels, total, degrees, p_value = _panels(objective, linear)
    reduced = total / max(degrees - len(model.free), 1)
    disagreement = best.disagreement if p_value < LEAST_P else 1.0
    widening = max(reduced, 1.0, disagreement)
    posterior = sample(objective, modes, max(reduced, 1.0), tell, disagreement=disagreement)
    fitted, background = _predictions(volumes, objective, linear)
    return ModelFit(
        model.name, model.names, posterior,
        tuple((model.values(mode.free), mode.loss - best.loss) for mode in modes),
        _permutations(model, modes), widening, reduced, p_value, _explained(objective, spectra), panels,
        tuple(
            term
            for part, solved in zip(parts, linear, strict=True)
            for term in _terms(part, solved, widening)
        ),
        _histograms(sources, fitted, f"{model.name}, fitted"),
        _histograms(sources, background, f"{model.name}, background"),
        _histograms(
            sources,
            [(part.intensity - line) / part.sigma for part, line in zip(parts, fitted, strict=True)],
            f"{model.name}, (measured - fitted) / error",
            signed=True,
            unit="errors",
        ),
        _grid_errors(best, model, widening),
    )  # fmt: skip


def _grid_errors(best: Mode, model: FitModel, widening: float) -> dict[str, float]:
    if best.grid_error is None:
        return {}
    sd = np.sqrt(np.diag(best.covariance) * widening)
    return dict(zip(model.names, (best.grid_error / sd).tolist(), strict=True))


def _predictions(
    volumes: list[Floats], objective: Objective, linear: list[Linear]
) -> tuple[list[Floats], list[Floats]]:
    """Model with background, and background alone, in every bin of each part."""
    fitted, background = [], []
    for volume, part, solved in zip(volumes, objective.parts, linear, strict=True):
        scale, slope, *others = solved.coefficients
        terms = linear_terms(part, objective.options) @ np.array(others)
        background.append(terms.reshape(volume.shape))
        fitted.append((scale + slope * tilt(part)) * volume + background[-1])
    return fitted, background


def _histograms(
    sources: tuple[Source, ...],
    volumes: list[Floats],
    title: str,
    *,
    signed: bool = False,
    unit: str | None = None,
) -> tuple[Histogram, ...]:
    remaining = iter(volumes)
    return tuple(
        source.restore([next(remaining) for _ in source.parts], title, signed=signed, unit=unit)
        for source in sources
    )


def _explained(objective: Objective, spectra: list[Floats]) -> float:
    """Share of the structure that the model explains, beside a smooth background or rings: the smaller one.

    So intensity that depends on |Q| and energy alone, such as that of some phonons, is no structure, and a
    model that looks like rings does not explain them. A background that leaves nothing clear to explain, as
    in a cut, does not count.
    """
    smooth, rings, flat = (_share(objective, spectra, kind) for kind in ("smooth", "rings", "flat"))
    shares = [share for share, clear in (smooth, rings) if clear] or [flat[0]]
    return float(np.clip(min(shares), 0.0, 1.0))


def _share(objective: Objective, spectra: list[Floats], background: Background) -> tuple[float, bool]:
    """Share of the structure beside a background that the model explains, and whether there is any."""
    scale: Scale = "fixed" if objective.options.scale == "fixed" else "sloped"
    options = replace(objective.options, scale=scale, background=background, phonons=False)
    loose = Objective(objective.model, objective.parts, options)
    _, total, degrees, _ = _panels(loose, loose.linear(spectra))
    _, alone, _, _ = _panels(loose, loose.linear([np.zeros_like(line) for line in spectra]))
    structure = alone - degrees
    return (alone - total) / max(structure, 1e-9), structure > 5 * np.sqrt(2 * max(degrees, 1.0))


def _panels(objective: Objective, linear: list[Linear]) -> tuple[Floats, float, float, float]:
    """Rows of every panel, χ² and degrees of freedom of all, and their p-value.

    Errors from inversion pairs are estimates themselves: there χ² follows an F distribution of as many
    degrees of freedom as there are pairs.
    """
    rows, total, degrees, doubt = [], 0.0, 0.0, 0.0
    for part, bins, solved in zip(objective.parts, objective.bins, linear, strict=True):
        number = part.panel[bins.index % part.panel.size]
        squares = bins.squares(solved.design @ solved.coefficients)
        lost = solved.free.sum() / bins.index.size
        for panel in range(int(part.panel.max()) + 1):
            inside = number == panel
            n = float(inside.sum()) * (1 - lost)
            value = float(squares[inside].sum())
            at = np.flatnonzero(part.panel == panel)
            edges = part.binning.energy_edges
            p = _p_value(value, n, 0.5 * n if part.paired else np.inf)
            rows.append([part.binning.incident_energy, edges[at[0]], edges[at[-1] + 1], n, value, p])
            total, degrees, doubt = total + value, degrees + n, doubt + (2 * n if part.paired else 0)
    p_value = _p_value(total, degrees - len(objective.model.free), degrees**2 / doubt if doubt else np.inf)
    return np.array(rows), total, degrees, p_value


def _p_value(value: float, degrees: float, of_errors: float) -> float:
    if degrees <= 0:
        return 1.0
    if np.isinf(of_errors):
        return float(chi2.sf(value, degrees))
    return float(f_distribution.sf(value / degrees, degrees, max(of_errors, 1.0)))


def _terms(part: Part, solved: Linear, widening: float) -> list[Term]:
    sd = np.zeros(solved.coefficients.size)
    if solved.normal.size:
        sd[solved.free] = np.sqrt(widening * np.diag(np.linalg.pinv(solved.normal)))
    names = ["scale", "slope of the scale", *(f"term {i}" for i in range(1, sd.size - 1))]
    energy = part.binning.incident_energy
    return [
        Term(energy, name, float(mean), float(width))
        for name, mean, width in zip(names, solved.coefficients, sd, strict=True)
        if name != names[1] or solved.free[1]
    ]


def _permutations(model: FitModel, modes: tuple[Mode, ...]) -> tuple[str, ...]:
    """Pairs of constants that another mode has exchanged."""
    texts = []
    for mode in modes[1:]:
        sd = np.sqrt(np.diag(mode.covariance)) + np.sqrt(np.diag(modes[0].covariance))
        for i, j in combinations(range(len(model.free)), 2):
            moved = abs(mode.free[i] - modes[0].free[i]) > 3 * sd[i]
            swapped = [
                abs(mode.free[a] - modes[0].free[b]) < 3 * sd[a] + 3 * sd[b] for a, b in ((i, j), (j, i))
            ]
            if moved and all(swapped):
                texts.append(f"{model.names[i]} ↔ {model.names[j]}")
    return tuple(dict.fromkeys(texts))


def _notes(sources: tuple[Source, ...]) -> list[str]:
    parts = [part for source in sources for part in source.parts]
    notes = []
    if any(part.paired for part in parts):
        notes.append("The data have no errors: they were taken from inversion pairs (h, k) and (-h, -k).")
    measured = sum(int((part.reason != 1).sum()) for part in parts)
    used = sum(int(part.used.sum()) for part in parts)
    counts = {name: sum(int((part.reason == n).sum()) for part in parts) for n, name in _SET_ASIDE.items()}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    notes.append(
        f"{used} of {measured} measured bins are fitted" + (f"; set aside: {listed}." if listed else ".")
    )
    raised = sum(part.raised for part in parts)
    if raised:
        notes.append(
            f"{raised} bins had no error, or one below a fifth of the median of their energy: the median, or "
            "a fifth of it, is taken."
        )
    cut = sum(int(part.low.sum()) for part in parts)
    clipped = sum(int(part.high.sum()) for part in parts)
    if cut:
        notes.append(f"{cut} bins at exactly 0 count as cut there, not as measured.")
    if clipped:
        notes.append(f"{clipped} bins at the largest value count as clipped there.")
    return notes


_SET_ASIDE = {
    EDGE: "beside unmeasured bins",
    ALONE: "without a measured partner",
    SPIKE: "spikes",
    UNLIKE: "far from their partner",
}


def _start_notes(explored: Sequence[tuple[Objective, list[Mode]]]) -> list[str]:
    """Say where the starts of the search came from."""
    return [f"{objective.model.name}: starts are {objective.starts}." for objective, _ in explored]


def _mode_notes(fits: dict[str, ModelFit], options: FitOptions, behind: list[str]) -> list[str]:
    notes = [
        f"{name} explains the data so much worse that it is not sampled: its limits are of the Gaussian "
        "about its best mode."
        for name in behind
    ]
    for name, model in fits.items():
        if options.samples and name not in behind and model.posterior.effective is None:
            notes.append(
                f"{name}: the draws miss the posterior; limits are of the Gaussian about the best mode. "
                "Ask for more samples."
            )
        if model.permutations:
            notes.append(f"{name}: {', '.join(model.permutations)} exchanged explains the data as well.")
        elif len(model.modes) > 1:
            notes.append(f"{name} has {len(model.modes)} modes that the data cannot tell apart.")
        moved = {key: value for key, value in model.grid_errors.items() if abs(value) > COARSE_GRID}
        if moved:
            listed = ", ".join(f"{key} by {abs(value):.1f}" for key, value in moved.items())
            notes.append(
                f"{name}: a grid twice as fine would move {listed} of its errors: repeat with a grid of "
                f"{2 * options.grid}."
            )
        if model.widening > 1:
            because = (
                "χ² is above 1"
                if model.widening == model.chi2_reduced
                else "ranges of energy pull the constants apart by more than noise"
            )
            notes.append(f"{name}: all errors are widened by √{model.widening:.3f}, because {because}.")
    return notes
