"""Fit how far a model's results are from the truth, and write it onto its card.

The error model (:class:`mantid_exp2sim.model.error_model.ErrorModel`) is fitted on the validation split, to
clean spectra and to spectra with a background and counting noise together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.translate import translate_volumes
from mantid_exp2sim.inference.volumes import Volumes
from mantid_exp2sim.model.bundle import Bundle, open_bundle
from mantid_exp2sim.model.error_model import NORMAL_95, ErrorModel
from mantid_exp2sim.simulation.noise import TYPICAL_NOISE, MeasurementNoise
from mantid_exp2sim.training.datasets.bins import require_bins
from mantid_exp2sim.training.datasets.pairs import open_pairs
from mantid_exp2sim.training.datasets.sampler import DataSet

if TYPE_CHECKING:
    from mantid_exp2sim.model.card import Card, Direction

Progress = Callable[[str], None]
_Tables = tuple[tuple[float, ...], tuple[float, ...]]
NORMAL_68 = 0.682689
SPREAD_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Factors on the spread between members, of which one is selected."""
ROUNDS = 6
"""How often the halves are corrected for the interpolation between the classes."""
MIN_BINS = 100
"""With fewer bins a class of |I| of one incident energy takes those of all energies, and if these are too
few as well the figures of the class beside it."""
MAX_SHARE = 10.0
"""Where a class has next to no spread, its share would grow without end."""
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 0.99, 1.0)
"""Quantiles of |I| between which a half-width is taken together."""
FITTED_SHARE = 0.25
"""Share of the measured bins that are fitted, drawn at random."""
CONDITIONS: dict[Direction, tuple[str, ...]] = {
    "deconvolve": ("clean", "noise", "noise and background"),
    "convolve": ("clean",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Bins of results, all (n,): |error|, |I|, variance propagated from the input, spread of the members."""

    error: Floats
    intensity: Floats
    propagated: Floats
    spread: Floats
    energy: npt.NDArray[np.int64]
    """Row of the incident energy on the card."""
    condition: npt.NDArray[np.int64]
    """Number in ``CONDITIONS`` of the direction."""

    def select(self, mask: npt.NDArray[np.bool_]) -> Records:
        """Select bins."""
        return Records(*(getattr(self, name)[mask] for name in Records.__slots__))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What measurement-like spectra have, and how their errors are propagated."""

    noise: MeasurementNoise = TYPICAL_NOISE
    replicas: int = 8
    seed: int = 0


TYPICAL_CONDITIONS = Conditions()


def open_both(bundle: str | Path | Bundle, dataset: str | Path) -> tuple[Bundle, DataSet]:
    """Open a model and a data set of pairs; `Exp2SimError` where they do not have the same bins."""
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    data = open_pairs(Path(dataset))
    require_bins(opened, data)
    return opened, data


def calibrate(
    bundle: str | Path | Bundle,
    dataset: str | Path,
    *,
    split: str = "validation",
    limit: int = 48,
    conditions: Conditions = TYPICAL_CONDITIONS,
    progress: Progress | None = None,
) -> Card:
    """Fit the error model of both directions and write it onto the model's card; the weights stay.

    ``limit`` spectra are used, spread over the split.
    """
    from mantid_exp2sim.training.trainers.bundle import change_card

    bundle, data = open_both(bundle, dataset)
    card = bundle.card
    rows = _rows_of_energies(bundle, data.energies)
    if missing := [f"{energy:g}" for row, energy in enumerate(card.incident_energies) if row not in rows]:
        raise Exp2SimError(
            f"The data set {data.folder.name!r} has nothing at {', '.join(missing)} meV.",
            reason=f"The model {card.name!r} is for these too, and would get no errors there.",
            fix="Calibrate with a data set of all its incident energies.",
        )
    indices = spread_over(data.split(split), limit)
    errors = {
        direction: fit(
            measure(bundle, data, direction, indices, conditions, share=FITTED_SHARE, progress=progress),
            len(card.incident_energies),
        )
        for direction in CONDITIONS
        if card.keys(direction)
    }
    return change_card(bundle.folder, errors=errors)


def spread_over(indices: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Select at most ``limit`` indices at equal distances.

    >>> spread_over(np.arange(10), 3).tolist()
    [0, 4, 9]
    """
    places = np.linspace(0, len(indices) - 1, min(limit, len(indices))).round().astype(int)
    selected: npt.NDArray[np.int64] = indices[np.unique(places)]
    return selected


def measure(
    bundle: Bundle,
    data: DataSet,
    direction: Direction,
    indices: npt.NDArray[np.int64],
    conditions: Conditions,
    *,
    share: float = 1.0,
    progress: Progress | None = None,
) -> Records:
    """Translate spectra of a data set under all conditions and compare a share of the bins with the truth."""
    kinds = ("convolved", bundle.card.target)
    source, goal = kinds if direction == "deconvolve" else kinds[::-1]
    parts: list[Records] = []
    for count, index in enumerate(indices, start=1):
        row = np.array([index])
        clean, truth = data.read(source, row)[0], data.read(goal, row)[0].astype(np.float64)
        rng = np.random.default_rng([conditions.seed, int(index)])
        for number, volumes in zip(
            range(len(CONDITIONS[direction])), _inputs(data, clean, rng, conditions), strict=False
        ):
            results = translate_volumes(
                bundle, direction, volumes, replicas=conditions.replicas, seed=conditions.seed + int(index)
            )
            parts.append(_records(bundle, volumes, truth, results, number, rng, share))
        if progress is not None:
            progress(f"{direction}: {count} of {len(indices)} spectra")
    return Records(*(np.concatenate([getattr(p, name) for p in parts]) for name in Records.__slots__))


def _inputs(
    data: DataSet, clean: npt.NDArray[np.float32], rng: np.random.Generator, conditions: Conditions
) -> Iterator[Volumes]:
    """Give the spectrum as it is, with noise, and with noise and a background; with its variance."""
    nothing, noise = np.zeros(clean.shape), conditions.noise
    for brighter in (None, clean, noise.add_background(rng, clean)):
        values = clean if brighter is None else noise.add_counting_noise(rng, brighter)
        variance = nothing if brighter is None else noise.counting[1] * np.maximum(brighter, 0)
        yield Volumes(
            np.where(data.mask, np.nan, values).astype(np.float64),
            np.where(data.mask, np.nan, variance).astype(np.float64),
            data.mask,
            data.energies.astype(np.float64),
            open=lambda array: array,
            close=lambda array: array,
        )


def _records(
    bundle: Bundle,
    volumes: Volumes,
    truth: Floats,
    results: tuple[Floats, Floats, Floats],
    condition: int,
    rng: np.random.Generator,
    share: float,
) -> Records:
    drawn = ~volumes.mask & (rng.random(volumes.mask.shape) < share)
    rows = _rows_of_energies(bundle, volumes.incident_energies)
    intensity, propagated, between = results
    return Records(
        error=np.abs(intensity - truth)[drawn],
        intensity=np.abs(intensity)[drawn],
        propagated=propagated[drawn],
        spread=np.sqrt(between[drawn]),
        energy=np.broadcast_to(rows[:, None, None, None], drawn.shape)[drawn],
        condition=np.full(int(drawn.sum()), condition),
    )


def _rows_of_energies(bundle: Bundle, energies: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    distances = np.abs(np.asarray(bundle.card.incident_energies) - energies[:, None])
    rows: npt.NDArray[np.int64] = distances.argmin(axis=1)
    return rows


def fit(records: Records, energies: int) -> ErrorModel:
    """Fit an error model: 68 and 95 % of the records lie within, at each |I| and incident energy.

    Half of the model's 68 % interval in a class of clean bins is the root of the 68 % quantile of
    error² − (a · spread)²; where the spread alone covers more than that, a share of it. What then counts of
    the variance v propagated from the input is the 68 % quantile of (error² − that half²) / v over noisy
    bins. a is selected by the mean interval score (Gneiting and Raftery, JASA 102 (2007) 359, eq. 43) of both
    intervals.
    """
    edges = np.unique(np.quantile(records.intensity, LEVELS))
    factors = SPREAD_FACTORS if records.spread.any() else (0.0,)
    fits = [_fit(records, energies, edges, factor) for factor in factors]
    return min(fits, key=lambda errors: _score(errors, records))


def _fit(records: Records, energies: int, edges: Floats, factor: float) -> ErrorModel:
    bins = np.clip(np.searchsorted(edges, records.intensity, side="right") - 1, 0, len(edges) - 2)
    levels = np.array([np.median(records.intensity[bins == number]) for number in range(len(edges) - 1)])
    is_clean = records.propagated == 0
    clean, classes = records.select(is_clean), bins[is_clean]
    narrow: list[_Tables] = []
    wide: list[_Tables] = []
    for row in range(energies):
        at_row = clean.energy == row
        few = np.bincount(classes[at_row], minlength=len(levels)) < MIN_BINS
        used = at_row | few[classes]
        for tables, width, level in ((narrow, 1.0, NORMAL_68), (wide, NORMAL_95, 0.95)):
            tables.append(_fit_tables(clean.select(used), classes[used], levels, width * factor, level))
    errors = ErrorModel(
        spread=factor,
        intensity=tuple(levels.tolist()),
        sigma=tuple(half for half, _ in narrow),
        wide=tuple(half for half, _ in wide),
        share=tuple(share for _, share in narrow),
        share_wide=tuple(share for _, share in wide),
    )
    if is_clean.all():
        return errors
    noisy = records.select(~is_clean)
    factors = {
        name: _factors(half, noisy, bins[~is_clean], len(levels), level)
        for name, half, level in zip(
            ("given", "given_wide"), _halves_of_model(errors, noisy), (NORMAL_68, 0.95), strict=True
        )
    }
    return errors.model_copy(update=factors)


def _fit_tables(
    records: Records, bins: npt.NDArray[np.int64], levels: Floats, factor: float, level: float
) -> _Tables:
    """Fit, at each tabulated |I| of one incident energy, the half beside factor · spread and its share.

    Between the levels both are interpolated, which changes how much a class of bins covers: a few rounds of
    one factor on both in each class bring it back.
    """
    squares, spread = records.error**2, (factor * records.spread) ** 2
    classes = [np.flatnonzero(bins == number) for number in range(len(levels))]
    few = np.array([rows.size < MIN_BINS for rows in classes])
    half = np.array([_root((squares - spread)[rows], level) for rows in classes])
    half, share = _filled(half, few, levels), np.ones(len(levels))
    beyond = np.maximum(1.0, records.intensity / max(float(levels[-1]), 1e-300))
    for _ in range(ROUNDS):
        beside = np.interp(records.intensity, levels, half) * beyond
        whole = np.interp(records.intensity, levels, share) ** 2 * spread + beside**2
        ratio = squares / np.maximum(whole, 1e-24)
        change = np.array([_root(ratio[rows], level) if rows.size else 1.0 for rows in classes])
        half, share = half * change, np.minimum(share * change, MAX_SHARE)
        half, share = _filled(half, few, levels), _filled(share, few)
    return _rounded(half), _rounded(share)


def _filled(values: Floats, few: npt.NDArray[np.bool_], levels: Floats | None = None) -> Floats:
    """Give classes of too few bins what the next darker one has, in proportion to ``levels`` if present.

    Where there is no darker one it is the next brighter; where all have few bins they stay.

    >>> _filled(np.array([9.0, 1.0, 9.0, 9.0]), np.array([True, False, True, True]), np.array([0, 1, 2, 4.0]))
    array([1., 1., 2., 4.])
    """
    enough = np.flatnonzero(~few)
    if not enough.size:
        return values
    filled = values.copy()
    for number in np.flatnonzero(few):
        darker = enough[enough < number]
        beside = int(darker[-1] if darker.size else enough[0])
        filled[number] = values[beside]
        if levels is not None and darker.size and levels[beside] > 0:
            filled[number] *= levels[number] / levels[beside]
    return filled


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)


def _factors(
    half: Floats, noisy: Records, bins: npt.NDArray[np.int64], count: int, level: float
) -> tuple[float, ...]:
    """Return for each class of |I| the share of the propagated variance that makes up for the remainder."""
    shares = (noisy.error**2 - half**2) / noisy.propagated
    classes = [bins == number for number in range(count)]
    few = np.array([rows.sum() < MIN_BINS for rows in classes])
    factors = _filled(np.array([_root(shares[rows], level) ** 2 for rows in classes]), few)
    return _rounded(np.minimum(factors, 100.0))


def _root(squares: Floats, level: float) -> float:
    return float(np.sqrt(max(np.quantile(squares, level), 0.0))) if squares.size else 0.0


def _halves_of_model(errors: ErrorModel, records: Records) -> tuple[Floats, Floats]:
    """Return halves of the 68 and 95 % intervals of the model's error alone."""
    narrow, wide = np.empty_like(records.error), np.empty_like(records.error)
    for row in np.unique(records.energy):
        rows = records.energy == row
        halves = errors.halves(records.intensity[rows][None], records.spread[rows][None], [int(row)])
        narrow[rows], wide[rows] = halves[0][0], halves[1][0]
    return narrow, wide


def half_widths(errors: ErrorModel, records: Records) -> tuple[Floats, Floats]:
    """Return halves of the whole 68 and 95 % intervals, the input's part included."""
    parts = zip(errors.factors(records.intensity), _halves_of_model(errors, records), strict=True)
    narrow, wide = (np.sqrt(factor * records.propagated + half**2) for factor, half in parts)
    return narrow, wide


def _score(errors: ErrorModel, records: Records) -> float:
    halves = zip(half_widths(errors, records), (NORMAL_68, 0.95), strict=True)
    return sum(
        float(np.mean(2 * half + 2 / (1 - level) * np.maximum(records.error - half, 0) * 2))
        for half, level in halves
    )
