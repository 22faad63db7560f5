"""Where the likelihood is high: starts on a coarse grid, Gauss-Newton on the best, and their modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import qmc

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.data import Part
from mantid_exp2sim.fitting.likelihood import Bins, Linear, solve_linear
from mantid_exp2sim.fitting.model import FitModel
from mantid_exp2sim.fitting.options import FitOptions
from mantid_exp2sim.fitting.proposal import propose
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.spin_waves import UnstableStructureError

Tell = Callable[[str], None]
"""What is told of every step; it raises `Cancelled` where the run is to stop."""

SOBOL, POSTERIOR = "points that fill the bounds", "draws of a trained posterior"
COARSE, MIDDLE = 8, 12
"""Grids of the starts, and of the first Gauss-Newton runs."""
REFINED = {SOBOL: 5, POSTERIOR: 3}
"""Starts that are refined."""
SAME_MODE = 0.5
"""Distance in standard deviations below which two ends are one mode."""
SYMMETRIC = 0.1
"""Difference in loss below which an exchange of constants is a symmetry of the model."""
WEAKEST = 25.0
"""Loss above the best from which a mode is not refined any further."""


class Objective:
    """-log posterior of a model's free parameters, for all parts, the linear terms integrated over."""

    def __init__(self, model: FitModel, parts: tuple[Part, ...], options: FitOptions) -> None:
        self.model, self.parts, self.options = model, parts, options
        self.bins = [Bins(part, options) for part in parts]
        self._starts: list[Floats | None] = [None] * len(parts)
        self.starts = SOBOL
        """Where the starts of the search came from."""

    def spectra(self, free: Floats, grid: int) -> list[Floats]:
        """Simulate the bins that are fitted, (N,) of each part."""
        return self.chosen(self.model.spectra(free, self.parts, grid))

    def chosen(self, volumes: list[Floats]) -> list[Floats]:
        """Choose the bins that are fitted, (N,) of each part."""
        return [volume.ravel()[bins.index] for volume, bins in zip(volumes, self.bins, strict=True)]

    def linear(self, spectra: list[Floats]) -> list[Linear]:
        """Solve the linear terms of every part, from those of the last call."""
        zipped = zip(self.bins, spectra, self._starts, strict=True)
        solved = [solve_linear(bins, line, self.options, start) for bins, line, start in zipped]
        self._starts = [part.coefficients for part in solved]
        return solved

    def loss(self, free: Floats, grid: int) -> float:
        """Compute -log posterior density; inf where the structure is not stable or the prior is 0."""
        prior = self.model.log_prior(free)
        if not np.isfinite(prior):
            return np.inf
        try:
            spectra = self.spectra(free, grid)
        except UnstableStructureError:
            return np.inf
        return sum(part.total for part in self.linear(spectra)) - prior

    def derivatives(self, free: Floats, grid: int) -> list[Floats]:
        """Differentiate the spectra of the bins that are fitted, (N, p) of each part, by differences."""
        before = self.spectra(free, grid)
        columns: list[list[Floats]] = [[] for _ in before]
        for number, parameter in enumerate(self.model.free):
            for step in self._steps(free[number], parameter.step, parameter.bounds):
                moved = free.copy()
                moved[number] += step
                try:
                    after = self.spectra(moved, grid)
                except UnstableStructureError:
                    continue
                for column, a, b in zip(columns, after, before, strict=True):
                    column.append((a - b) / step)
                break
            else:
                for column, b in zip(columns, before, strict=True):
                    column.append(np.zeros_like(b))
        return [np.column_stack(column) for column in columns]

    @staticmethod
    def slope_grid(grid: int) -> int:
        """Return the grid of the derivatives of a descent: coarser, for two fifths of the time."""
        return max(grid * 3 // 5, COARSE)

    @staticmethod
    def _steps(value: float, step: float, bounds: tuple[float, float]) -> Iterator[float]:
        inside = step if value + step <= bounds[1] else -step
        yield from (inside, -inside, 0.1 * inside, -0.1 * inside)

    def curvature(self, linear: list[Linear], derivatives: list[Floats]) -> Floats:
        """Compute the second derivatives (p, p) of the loss, the linear terms followed, with the prior."""
        total = np.zeros((len(self.model.free), len(self.model.free)))
        for part, columns in zip(linear, derivatives, strict=True):
            beside = part.beside(columns * part.scale[:, None])
            total += (beside.T * part.loss.curvature) @ beside
        for number, parameter in enumerate(self.model.free):
            width = parameter.prior[1] if parameter.prior else parameter.bounds[1] - parameter.bounds[0]
            total[number, number] += width**-2
        return total

    def gradient(self, linear: list[Linear], derivatives: list[Floats]) -> Floats:
        """Compute the first derivatives (p,) of the loss, the linear terms followed, without the prior."""
        total = np.zeros(len(self.model.free))
        for solved, columns in zip(linear, derivatives, strict=True):
            total += solved.beside(columns * solved.scale[:, None]).T @ solved.loss.slope
        return total

    def scatter(self, linear: list[Linear], derivatives: list[Floats]) -> Floats:
        """Sum the outer products (p, p) of the gradients of the single panels.

        Noise alone gives the `curvature`, on average; panels that pull the parameters apart give more.
        """
        total = np.zeros((len(self.model.free), len(self.model.free)))
        for part, bins, solved, columns in zip(self.parts, self.bins, linear, derivatives, strict=True):
            pulls = solved.beside(columns * solved.scale[:, None]) * solved.loss.slope[:, None]
            panel = part.panel[bins.index % part.panel.size]
            for number in np.unique(panel):
                gradient = pulls[panel == number].sum(axis=0)
                total += np.outer(gradient, gradient)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """A place where the posterior is highest: parameters (p,), covariance (p, p), -log posterior there.

    ``disagreement`` of the panels over that of noise: the mean factor on the variances that covers it.
    ``grid_error`` (p,): how far twice the grid would move the parameters, to first order.
    """

    free: Floats
    covariance: Floats
    loss: float
    disagreement: float = 1.0
    grid_error: Floats | None = None


def coarse_starts(objective: Objective, tell: Tell) -> list[tuple[float, Floats]]:
    """Draw constants, and order the stable ones by their loss on a coarse grid, which stands before each.

    They are draws of a trained posterior where there is one for the model and the data, else from the bounds
    (Sobol).
    """
    model, options = objective.model, objective.options
    drawn = propose(model, objective.parts, options)
    if drawn is None or not len(drawn):
        objective.starts, count, draws = SOBOL, options.starts, _sobol(model, options)
    else:
        objective.starts, count, draws = POSTERIOR, _of_posterior(options), iter(drawn)
        tell(f"{model.name}: first answer {_first_answer(model, drawn)}")
    scored: list[tuple[float, Floats]] = []
    for free in draws:
        tell(f"{model.name}: start {len(scored) + 1} of {count}")
        loss = objective.loss(free, COARSE)
        if np.isfinite(loss):
            scored.append((loss, free))
        if len(scored) >= count:
            break
    if not scored:
        raise Exp2SimError(
            f"No constants of {model.name} within their bounds give a stable structure.",
            reason=f"{40 * options.starts} draws were tried.",
            fix="Correct the bounds, or the structure of the model.",
        )
    return sorted(scored, key=lambda pair: pair[0])


def _of_posterior(options: FitOptions) -> int:
    """Starts that are tried where they are draws of a posterior: a quarter, or eight if that is less."""
    return min(options.starts, max(8, -(-options.starts // 4)))


def _sobol(model: FitModel, options: FitOptions) -> Iterator[Floats]:
    """The usual constants, then points that fill the bounds; up to forty for each start that is asked for."""
    uniform = [parameter.prior is None for parameter in model.free]
    low, high = model.bounds[uniform].T
    draws = qmc.Sobol(int(sum(uniform)), seed=options.seed)
    yield model.start
    for _ in range(40 * options.starts - 1):
        free = model.start.copy()
        free[uniform] = low + (high - low) * draws.random(1)[0]
        yield free


def _first_answer(model: FitModel, draws: Floats) -> str:
    """Mean and standard deviation of the constants over draws of the posterior."""
    mean, sd = draws.mean(axis=0), draws.std(axis=0)
    return ", ".join(
        f"{parameter.name} {mean[i]:.3g} ± {sd[i]:.2g}"
        for i, parameter in enumerate(model.free)
        if parameter.prior is None
    )


def refine(objective: Objective, start: Floats, grid: int, tell: Tell, *, steps: int = 30) -> Mode:
    """Descend by Gauss-Newton from a start; derivatives are taken on `Objective.slope_grid`."""
    model = objective.model
    low, high = model.bounds.T
    priors = [(i, *p.prior) for i, p in enumerate(model.free) if p.prior is not None]
    place: dict[bytes, list[Linear]] = {}

    def residuals(free: Floats) -> Floats:
        tell(f"{model.name}: {_text(model, free)}")
        try:
            linear = objective.linear(objective.spectra(free, grid))
        except UnstableStructureError:
            return np.full(sum(bins.index.size for bins in objective.bins) + len(priors), np.inf)
        place.clear()
        place[free.tobytes()] = linear
        parts = [_root(part) for part in linear]
        return np.concatenate([*parts, [(free[i] - middle) / width for i, middle, width in priors]])

    def jacobian(free: Floats) -> Floats:
        linear = place.get(free.tobytes()) or objective.linear(objective.spectra(free, grid))
        derivatives = objective.derivatives(free, objective.slope_grid(grid))
        rows = []
        for part, columns in zip(linear, derivatives, strict=True):
            root = _root(part)
            flat = np.abs(root) < 1e-6
            factor = np.where(flat, np.sqrt(part.loss.curvature), part.loss.slope / np.where(flat, 1, root))
            rows.append(part.beside(columns * part.scale[:, None]) * factor[:, None])
        prior = np.zeros((len(priors), free.size))
        for row, (i, _, width) in enumerate(priors):
            prior[row, i] = 1 / width
        return np.concatenate([*rows, prior])

    margin = 1e-6 * (high - low)
    inside = np.clip(start, low + margin, high - margin)
    result = least_squares(
        residuals, inside, jacobian, bounds=(low, high), x_scale=(high - low) / 20, max_nfev=steps,
        xtol=1e-5, ftol=2e-6,
    )  # fmt: skip
    slopes = np.asarray(result.jac)
    return Mode(result.x, _inverse(slopes.T @ slopes), objective.loss(result.x, grid))


def _root(part: Linear) -> Floats:
    """Signed residuals whose half squares are the loss."""
    return np.asarray(np.sign(part.loss.slope) * np.sqrt(2 * np.maximum(part.loss.value, 0)))


def _inverse(matrix: Floats) -> Floats:
    """Invert a normal matrix, with a floor for directions that the data say nothing about."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, 1e-9)) @ vectors.T
    return np.asarray(inverse / np.outer(scale, scale))


def explore(objective: Objective, tell: Tell) -> list[Mode]:
    """Look for modes on coarse grids, the best first: starts, a few steps of many, then more of few."""
    grid = min(MIDDLE, objective.options.grid)
    starts = coarse_starts(objective, tell)[: REFINED[objective.starts]]
    places = [free for _, free in starts]
    for width, steps in ((len(places), 4), (2, 8)):
        modes: list[Mode] = []
        for place in places[:width]:
            _add(modes, refine(objective, place, grid, tell, steps=steps))
        places = [mode.free for mode in modes]
    for swapped in _exchanged(objective.model, modes[0]):
        loss = objective.loss(swapped.free, grid)
        if abs(loss - swapped.loss) < SYMMETRIC:
            _add(modes, replace(swapped, loss=loss))
        elif loss < starts[-1][0]:  # no worse a place than the starts that were refined
            _add(modes, refine(objective, swapped.free, grid, tell, steps=6))
    return modes


def polish(objective: Objective, modes: list[Mode], tell: Tell) -> tuple[Mode, ...]:
    """Refine modes on the full grid, those that can still win; the best first."""
    fine: list[Mode] = []
    ends: list[tuple[Mode, Mode]] = []
    grid = objective.options.grid
    for mode in modes[:3]:
        if fine and mode.loss - modes[0].loss >= patience(objective):
            continue
        end = _twin(objective.model, mode, ends)
        if end is None or abs(objective.loss(end.free, grid) - end.loss) > SYMMETRIC:
            end = _finished(objective, refine(objective, mode.free, grid, tell))
        ends.append((mode, end))
        _add(fine, end)
    return tuple(mode for mode in fine if mode.loss - fine[0].loss < WEAKEST)


def _twin(model: FitModel, mode: Mode, ends: list[tuple[Mode, Mode]]) -> Mode | None:
    """The end of a mode that is another one with constants exchanged: that one's end with them exchanged."""
    for before, after in ends:
        for twin, end in zip(_exchanged(model, before), _exchanged(model, after), strict=True):
            if _is_one(mode, twin):
                return end
    return None


def patience(objective: Objective) -> float:
    """Loss above the best, on the middle grid, up to which a mode may still win on the fine one."""
    return max(WEAKEST, 0.01 * sum(bins.index.size for bins in objective.bins))


def _finished(objective: Objective, mode: Mode) -> Mode:
    """The mode with its covariance from derivatives on the full grid."""
    grid = objective.options.grid
    linear = objective.linear(objective.spectra(mode.free, grid))
    derivatives = objective.derivatives(mode.free, grid)
    covariance = _inverse(objective.curvature(linear, derivatives))
    factor = float(np.trace(covariance @ objective.scatter(linear, derivatives))) / mode.free.size
    try:
        finer = objective.linear(objective.spectra(mode.free, 2 * grid))
    except UnstableStructureError:  # between the points of the grid
        return Mode(mode.free, covariance, mode.loss, factor)
    moved = -covariance @ (objective.gradient(finer, derivatives) - objective.gradient(linear, derivatives))
    return Mode(mode.free, covariance, mode.loss, factor, np.asarray(moved))


def _add(modes: list[Mode], mode: Mode) -> None:
    """Add a mode where it is new, and keep the list sorted; of two that are one, the better."""
    if not np.isfinite(mode.loss):
        return
    for number, other in enumerate(modes):
        if _is_one(mode, other):
            if mode.loss < other.loss:
                modes[number] = mode
            modes.sort(key=lambda item: item.loss)
            return
    modes.append(mode)
    modes.sort(key=lambda item: item.loss)


def _is_one(mode: Mode, other: Mode) -> bool:
    """Say whether two ends are one mode."""
    step = mode.free - other.free
    near = step @ np.linalg.pinv(other.covariance) @ step < SAME_MODE**2 * step.size
    return bool(near or (np.abs(step) < 5e-3 * (1 + np.abs(mode.free))).all())


def _exchanged(model: FitModel, mode: Mode) -> Iterator[Mode]:
    """The mode with constants of the same bounds exchanged, pair by pair and all pairs at once."""
    bounds = [p.bounds if p.prior is None else None for p in model.free]
    pairs = [
        (i, j)
        for i in range(len(bounds))
        for j in range(i)
        if bounds[i] is not None and bounds[i] == bounds[j]
    ]
    single = [i for pair in pairs for i in pair]
    groups = [[pair] for pair in pairs]
    if len(pairs) > 1 and len(set(single)) == len(single):
        groups.append(pairs)
    for group in groups:
        order = np.arange(mode.free.size)
        for i, j in group:
            order[[i, j]] = order[[j, i]]
        yield Mode(mode.free[order], mode.covariance[np.ix_(order, order)], mode.loss)


def _text(model: FitModel, free: Floats) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in zip(model.names, free, strict=True))
