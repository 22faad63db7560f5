"""How far a model's results are from the truth: a calibration for its card, and how often it covers.

The calibration (:class:`mantid_exp2sim.model.error_model.ErrorModel`) is fitted on the validation split,
to clean
spectra and to spectra with a background and counting noise together; coverage is measured on another split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
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

Floats = npt.NDArray[np.float64]
_Tables = tuple[tuple[float, ...], tuple[float, ...]]
NORMAL_68 = 0.682689
SPREAD_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
"""What the factor on the spread between members is chosen from."""
ROUNDS = 6
"""How often the halves are corrected for the interpolation between the classes."""
LEAST = 100
"""With fewer bins a class of |I| of one incident energy takes those of all energies, and if these are too
few as well the figures of the class beside it."""
MOST_SHARE = 10.0
"""Where a class has next to no spread, its share would grow without end."""
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 0.99, 1.0)
"""Quantiles of |I| between which a half-width is taken together."""
CONDITIONS: dict[Direction, tuple[str, ...]] = {
    "deconvolve": ("clean", "noise", "noise and background"),
    "convolve": ("clean",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Bins of results, all (n,): |error|, |I|, variance propagated from the input, spread of the members."""

    error: Floats
    intensity: Floats
    given: Floats
    spread: Floats
    energy: npt.NDArray[np.int64]
    """Row of the incident energy on the card."""
    condition: npt.NDArray[np.int64]
    """Number in ``CONDITIONS`` of the direction."""

    def taken(self, chosen: npt.NDArray[np.bool_]) -> Records:
        """Some of them."""
        return Records(*(getattr(self, name)[chosen] for name in Records.__slots__))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What measurement-like spectra have, and how their errors are propagated."""

    noise: MeasurementNoise = TYPICAL_NOISE
    replicas: int = 8
    seed: int = 0


def measure(
    model: Bundle,
    data: DataSet,
    direction: Direction,
    indices: npt.NDArray[np.int64],
    *,
    conditions: Conditions,
    share: float = 1.0,
    progress: Callable[[str], None] | None = None,
) -> Records:
    """Translate spectra of a data set under all conditions and compare with the truth.

    ``share`` of the measured bins is kept, chosen at random.
    """
    kinds = ("convolved", model.card.target)
    source, goal = kinds if direction == "deconvolve" else kinds[::-1]
    parts: list[Records] = []
    for index in indices:
        one = np.array([index])
        clean, truth = data.read(source, one)[0], data.read(goal, one)[0].astype(np.float64)
        rng = np.random.default_rng([conditions.seed, int(index)])
        for number, volumes in enumerate(_inputs(data, clean, rng, conditions)):
            if number == len(CONDITIONS[direction]):
                break
            made = translate_volumes(
                model, direction, volumes, replicas=conditions.replicas, seed=conditions.seed + int(index)
            )
            parts.append(_records(model, volumes, truth, made, number, rng, share))
        if progress is not None:
            progress(f"{direction}: {len(parts) // len(CONDITIONS[direction])} of {len(indices)} spectra")
    return Records(*(np.concatenate([getattr(p, name) for p in parts]) for name in Records.__slots__))


def _inputs(
    data: DataSet, clean: npt.NDArray[np.float32], rng: np.random.Generator, conditions: Conditions
) -> Iterator[Volumes]:
    """The spectrum as it is, with noise, and with noise and a background; with its variance."""
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
    model: Bundle,
    volumes: Volumes,
    truth: Floats,
    made: tuple[Floats, Floats, Floats],
    condition: int,
    rng: np.random.Generator,
    share: float,
) -> Records:
    keep = ~volumes.mask & (rng.random(volumes.mask.shape) < share)
    known = np.asarray(model.card.incident_energies)
    rows = np.abs(known - volumes.incident_energies[:, None]).argmin(1)
    result, given, between = made
    return Records(
        error=np.abs(result - truth)[keep],
        intensity=np.abs(result)[keep],
        given=given[keep],
        spread=np.sqrt(between[keep]),
        energy=np.broadcast_to(rows[:, None, None, None], keep.shape)[keep],
        condition=np.full(int(keep.sum()), condition),
    )


def fit(records: Records, energies: int) -> ErrorModel:
    """The calibration of these records: 68 and 95 % of them lie within, at each |I| and incident energy.

    Half of the model's 68 % interval in a class of clean bins is the root of the 68 % quantile of
    error² − (a · spread)²; where the spread alone covers more than that, a share of it. What then counts of
    the variance v propagated from the input is the 68 % quantile of (error² − that half²) / v over noisy
    bins. a is chosen by the mean interval score (Gneiting and Raftery, JASA 102 (2007) 359, eq. 43) of both
    intervals.
    """
    edges = np.unique(np.quantile(records.intensity, LEVELS))
    factors = SPREAD_FACTORS if records.spread.any() else (0.0,)
    fitted = [_fit(records, energies, edges, factor) for factor in factors]
    return min(fitted, key=lambda errors: _score(errors, records))


def _fit(records: Records, energies: int, edges: Floats, factor: float) -> ErrorModel:
    bins = np.clip(np.searchsorted(edges, records.intensity, side="right") - 1, 0, len(edges) - 2)
    levels = np.array([np.median(records.intensity[bins == number]) for number in range(len(edges) - 1)])
    clean = records.given == 0
    own, classes = records.taken(clean), bins[clean]
    narrow: list[_Tables] = []
    wide: list[_Tables] = []
    for row in range(energies):
        mine = own.energy == row
        few = np.bincount(classes[mine], minlength=len(levels)) < LEAST
        chosen = mine | few[classes]
        for found, width, level in ((narrow, 1.0, NORMAL_68), (wide, NORMAL_95, 0.95)):
            found.append(_own_tables(own.taken(chosen), classes[chosen], levels, width * factor, level))
    errors = ErrorModel(
        spread=factor,
        intensity=tuple(levels.tolist()),
        sigma=tuple(half for half, _ in narrow),
        wide=tuple(half for half, _ in wide),
        share=tuple(share for _, share in narrow),
        share_wide=tuple(share for _, share in wide),
    )
    if clean.all():
        return errors
    noisy = records.taken(~clean)
    factors = {
        name: _factors(half, noisy, bins[~clean], len(levels), level)
        for name, half, level in zip(
            ("given", "given_wide"), _own_halves(errors, noisy), (NORMAL_68, 0.95), strict=True
        )
    }
    return errors.model_copy(update=factors)


def _own_tables(
    records: Records, bins: npt.NDArray[np.int64], levels: Floats, factor: float, level: float
) -> _Tables:
    """Of one incident energy, at each tabulated |I|: the half beside factor · spread, and the share of that.

    Between the levels both are interpolated, which changes how much a class of bins covers: a few rounds of
    one factor on both in each class bring it back.
    """
    squares, spread = records.error**2, (factor * records.spread) ** 2
    classes = [np.flatnonzero(bins == number) for number in range(len(levels))]
    few = np.array([chosen.size < LEAST for chosen in classes])
    half = np.array([_root((squares - spread)[chosen], level) for chosen in classes])
    half, share = _filled(half, few, levels), np.ones(len(levels))
    beyond = np.maximum(1.0, records.intensity / max(float(levels[-1]), 1e-300))
    for _ in range(ROUNDS):
        rest = np.interp(records.intensity, levels, half) * beyond
        whole = np.interp(records.intensity, levels, share) ** 2 * spread + rest**2
        ratio = squares / np.maximum(whole, 1e-24)
        change = np.array([_root(ratio[chosen], level) if chosen.size else 1.0 for chosen in classes])
        half, share = half * change, np.minimum(share * change, MOST_SHARE)
        half, share = _filled(half, few, levels), _filled(share, few)
    return tuple(_rounded(half)), tuple(_rounded(share))


def _filled(values: Floats, few: npt.NDArray[np.bool_], levels: Floats | None = None) -> Floats:
    """Classes of too few bins get what the next darker one has, in proportion to ``levels`` if given.

    Where there is no darker one it is the next brighter; where all have few bins they stay.

    >>> _filled(np.array([9.0, 1.0, 9.0, 9.0]), np.array([True, False, True, True]), np.array([0, 1, 2, 4.0]))
    array([1., 1., 2., 4.])
    """
    known = np.flatnonzero(~few)
    if not known.size:
        return values
    filled = values.copy()
    for number in np.flatnonzero(few):
        darker = known[known < number]
        beside = int(darker[-1] if darker.size else known[0])
        filled[number] = values[beside]
        if levels is not None and darker.size and levels[beside] > 0:
            filled[number] *= levels[number] / levels[beside]
    return filled


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _factors(
    half: Floats, noisy: Records, bins: npt.NDArray[np.int64], count: int, level: float
) -> tuple[float, ...]:
    """For each class of |I| the share of the propagated variance that makes up for the rest."""
    shares = (noisy.error**2 - half**2) / noisy.given
    classes = [bins == number for number in range(count)]
    few = np.array([chosen.sum() < LEAST for chosen in classes])
    found = _filled(np.array([_root(shares[chosen], level) ** 2 for chosen in classes]), few)
    return tuple(_rounded(np.minimum(found, 100.0)))


def _root(squares: Floats, level: float) -> float:
    return float(np.sqrt(max(np.quantile(squares, level), 0.0))) if squares.size else 0.0


def _own_halves(errors: ErrorModel, records: Records) -> tuple[Floats, Floats]:
    """Halves of the 68 and 95 % intervals of the model's own error."""
    own, wide = np.empty_like(records.error), np.empty_like(records.error)
    for row in np.unique(records.energy):
        chosen = records.energy == row
        halves = errors.halves(records.intensity[chosen][None], records.spread[chosen][None], [int(row)])
        own[chosen], wide[chosen] = halves[0][0], halves[1][0]
    return own, wide


def _halves(errors: ErrorModel, records: Records) -> tuple[Floats, Floats]:
    """Halves of the whole 68 and 95 % intervals, the input's part included."""
    parts = zip(errors.factors(records.intensity), _own_halves(errors, records), strict=True)
    narrow, wide = (np.sqrt(factor * records.given + half**2) for factor, half in parts)
    return narrow, wide


def _score(errors: ErrorModel, records: Records) -> float:
    halves = zip(_halves(errors, records), (NORMAL_68, 0.95), strict=True)
    return sum(
        float(np.mean(2 * half + 2 / (1 - level) * np.maximum(records.error - half, 0) * 2))
        for half, level in halves
    )


def calibrate(
    model: str | Path | Bundle,
    dataset: str | Path,
    *,
    split: str = "validation",
    limit: int = 48,
    conditions: Conditions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Card:
    """Fit the calibration of both directions and write it onto the model's card; the weights stay.

    ``limit`` spectra are taken, spread over the split.
    """
    from mantid_exp2sim.training.trainers.bundle import change_card

    loaded = model if isinstance(model, Bundle) else open_bundle(model)
    data = open_pairs(Path(dataset))
    require_bins(loaded, data)
    known = np.asarray(loaded.card.incident_energies)
    met = np.abs(known - data.energies[:, None]).argmin(1)
    if missing := [f"{energy:g}" for row, energy in enumerate(known) if row not in met]:
        raise Exp2SimError(
            f"The data set {data.folder.name!r} has nothing at {', '.join(missing)} meV.",
            reason=f"The model {loaded.card.name!r} is for these too, and would get no errors there.",
            fix="Calibrate with a data set of all its incident energies.",
        )
    indices = _spread_over(data.split(split), limit)
    errors = {}
    for direction in CONDITIONS:
        if loaded.card.keys(direction):
            records = measure(
                loaded, data, direction, indices, conditions=conditions or Conditions(), share=0.25,
                progress=progress,
            )  # fmt: skip
            errors[direction] = fit(records, len(loaded.card.incident_energies))
    return change_card(loaded.folder, errors=errors)


def coverage(
    model: str | Path | Bundle,
    dataset: str | Path,
    *,
    split: str = "test",
    limit: int | None = 48,
    conditions: Conditions | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """How many measured bins lie within the 68 and the 95 % interval of the card's calibration.

    JSON-able: per direction ``overall``, ``conditions`` (clean, with noise, with noise and background),
    ``energies`` (per incident energy), ``bright`` (|I| above a tenth of the largest) and ``members``; each a
    dict with ``68`` and ``95``. ``{"not known": why}`` where the card has no calibration.
    """
    loaded = model if isinstance(model, Bundle) else open_bundle(model)
    data = open_pairs(Path(dataset))
    require_bins(loaded, data)
    indices = data.split(split) if limit is None else _spread_over(data.split(split), limit)
    report: dict[str, Any] = {"split": split, "spectra": len(indices)}
    for direction, names in CONDITIONS.items():
        errors = loaded.card.errors.get(direction)
        if errors is None:
            report[direction] = {"not known": "the model's card has no calibration of its errors"}
            continue
        records = measure(
            loaded, data, direction, indices, conditions=conditions or Conditions(), progress=progress
        )
        report[direction] = _covered(errors, records, names, loaded.card.incident_energies)
        report[direction]["members"] = len(loaded.card.keys(direction))
    return report


def _covered(
    errors: ErrorModel, records: Records, names: tuple[str, ...], energies: tuple[float, ...]
) -> dict[str, Any]:
    narrow, wide = (records.error <= half for half in _halves(errors, records))

    def share(chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
        return {"68": float(narrow[chosen].mean()), "95": float(wide[chosen].mean())}

    return {
        "overall": share(np.ones(len(narrow), dtype=bool)),
        "bright": share(records.intensity > 0.1 * records.intensity.max()),
        "conditions": {name: share(records.condition == number) for number, name in enumerate(names)},
        "energies": {
            f"{energies[row]:g}": share(records.energy == row) for row in np.unique(records.energy).tolist()
        },
    }


def _spread_over(indices: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    places = np.linspace(0, len(indices) - 1, min(limit, len(indices))).round().astype(int)
    chosen: npt.NDArray[np.int64] = indices[np.unique(places)]
    return chosen


def table(report: Mapping[str, Any]) -> str:
    """The coverage in words.

    >>> print(table({"split": "test", "spectra": 3, "convolve": {"not known": "no calibration"}}))
    3 spectra of 'test'
    convolve: not known (no calibration)
    """
    lines = [f"{report['spectra']} spectra of {report['split']!r}"]
    for direction in CONDITIONS:
        found = report.get(direction)
        if found is None:
            continue
        if "overall" not in found:
            lines.append(f"{direction}: not known ({found['not known']})")
            continue
        rows = {"overall": found["overall"], "bright bins": found["bright"], **found["conditions"]}
        rows |= {f"{energy} meV": share for energy, share in found["energies"].items()}
        lines.append(f"{direction}, {found['members']} members{'':14}68 %   95 %")
        lines += [f"  {name:28s}{100 * s['68']:6.1f} {100 * s['95']:6.1f}" for name, s in rows.items()]
    return "\n".join(lines)
