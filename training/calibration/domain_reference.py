"""Make the reference of the domain check: ``exp2sim domain MODEL DATASET``.

The training data of each direction are sampled as the generator met them (symmetries, intensity, and for
measurement-like data the background and noise of the recipe). One part of the training split gives the
directions of the features, another the scales of the score; the validation split is the calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mantid_exp2sim.domain.comparison import Comparison
from mantid_exp2sim.domain.likeness import Reference, extreme
from mantid_exp2sim.domain.reference import reference_bytes, reference_name, rounded
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.model.bundle import Bundle, save_bundle
from mantid_exp2sim.model.card import (
    DIRECTIONS,
    Calibrated,
    Card,
    Direction,
    DirectionCard,
    DomainCard,
    WeightFile,
)
from mantid_exp2sim.training.calibration.domain_fit import (
    bend_of,
    fit_errors,
    fit_reference,
    joined,
    parts_of,
    squared_errors,
)
from mantid_exp2sim.training.calibration.levels import measure_levels, measure_symmetries
from mantid_exp2sim.training.calibration.spectra import (
    Cuts,
    Settings,
    as_in_training,
    cut_axis,
    cut_out,
    draw_pairs,
    encode_spectra,
    kinds_of,
    read_spectra,
    rows_of_cuts,
)
from mantid_exp2sim.training.datasets.bins import require_bins
from mantid_exp2sim.training.datasets.dataset import DataSet, open_dataset
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.synthetic.controls import controls

if TYPE_CHECKING:
    from torch import nn

Say: TypeAlias = Callable[[str], None]

MIN_SPECTRA = 20
"""Fewer held-out spectra cannot tell a p-value of 0.05."""
MAX_CUTS_OF_VOLUME, MAX_CUTS = 4, 400
"""Cuts of each volume, and of the whole validation split."""
MAX_CUT_FIT, MAX_CUT_HELD = 200, 300
"""Spectra that are cut: two references have to go into one file."""


def make_reference(
    bundle: Bundle, data: DataSet, direction: Direction, settings: Settings, say: Say, axis: int | None = None
) -> tuple[Reference, DirectionCard, Volumes]:
    """Make reference and card of one direction; return also the calibration spectra.

    With ``axis`` those of single cuts along this axis of the volumes (h, k, E).
    """
    number = DIRECTIONS.index(direction)
    rng = np.random.default_rng([settings.seed, number] + ([] if axis is None else [1 + axis]))
    noisy = direction == "deconvolve"
    kind, other_kind = kinds_of(bundle.card, direction)

    def draw(split: str, limit: int) -> Volumes:
        spectra = read_spectra(data, kind, split, limit, settings, rng)
        return as_in_training(spectra, settings, rng, noisy=noisy)

    say(f"{direction}: features of the training split")
    train = draw("train", settings.train + settings.fit)
    other = read_spectra(data, other_kind, "train", settings.other, settings, rng)
    half = len(other) // 2
    halves = [
        as_in_training(spectra, settings, rng, noisy=with_noise)
        for spectra, with_noise in ((other[:half], False), (other[half:], True))
    ]
    held = draw("validation", settings.held)
    if len(held) < MIN_SPECTRA:
        raise Exp2SimError(
            f"The validation split has {len(held)} spectra of {kind!r}.",
            reason=f"At least {MIN_SPECTRA} are needed to calibrate a p-value.",
            fix="Use a data set with a larger validation split.",
        )
    count = 0 if axis is None else max(1, min(MAX_CUTS_OF_VOLUME, MAX_CUTS // len(held)))
    cuts = cut_out(train, axis, count, rng)
    encoded = encode_spectra(bundle, direction, cuts, settings)
    away = [encode_spectra(bundle, direction, cut_out(x, axis, count, rng), settings) for x in halves]
    say(f"{direction}: features of the validation split")
    calibration = cut_out(held, axis, count, rng)
    unseen = encode_spectra(bundle, direction, calibration, settings)
    order = rng.permutation(len(train))
    share = settings.train / (settings.train + settings.fit)
    rows, rows_of_fit = (rows_of_cuts(part, count) for part in np.split(order, [round(share * len(order))]))
    energies = np.median(held.energies, axis=0).astype(float)
    reference, epsilon = fit_reference(encoded[rows], joined(away), unseen, energies, rng)
    bend, ends = bend_of(reference, encoded[rows_of_fit])
    reference = rounded(replace(reference, bend=bend, bend_limit=ends))
    pairs = draw_pairs(bundle, data, direction, "validation", settings, rng)
    if pairs is not None:
        say(f"{direction}: errors of the validation split")
        places = None if axis is None else Cuts.draw(pairs[0].mask, axis, count, rng)
        source = pairs[0] if places is None else places.spectra(pairs[0])
        moments = encode_spectra(bundle, direction, source, settings).moments
        squares = squared_errors(bundle, direction, *pairs, cuts=places)
        error, level = fit_errors(reference, moments, *squares, apart=axis is not None)
        reference = replace(reference, error=error, error_level=level)
    comparison = Comparison(
        bundle, direction, reference, epsilon, calibration.values.shape[2:], settings.points, settings.seed,
        cuts=axis is not None,
    )  # fmt: skip
    fit, ranked = parts_of(comparison, encoded[rows_of_fit]), parts_of(comparison, unseen)
    comparison = replace(comparison, reference=rounded(replace(reference, fit=fit, calibration=ranked)))
    say(f"{direction}: foreign data")
    foreign = _foreign(held, other, settings, rng, noisy=noisy)
    foreign = {name: cut_out(spectra, axis, count, rng) for name, spectra in foreign.items()}
    return comparison.reference, _limit(comparison, foreign, settings), calibration


def _foreign(
    held: Volumes, other: Volumes, settings: Settings, rng: np.random.Generator, *, noisy: bool
) -> dict[str, Volumes]:
    """Draw the foreign data that "untrustworthy" is fitted to: never those that are reported as new."""
    spectra = {"wrong domain": as_in_training(other[: settings.foreign], settings, rng, noisy=noisy)}
    for name, control in controls(held[: settings.foreign], rng).items():
        spectra[name] = as_in_training(control, settings, rng, noisy=noisy, augment=False)
    return spectra


def _limit(comparison: Comparison, foreign: dict[str, Volumes], settings: Settings) -> DirectionCard:
    """Put the limit of "untrustworthy" half way (in the logarithm) from in-domain to foreign data.

    Cuts are looked at as they are met, of one incident energy each.
    """
    reference = comparison.reference
    everything = list(range(reference.fit.shape[1]))
    groups = [[group] for group in everything] if comparison.cuts else [everything]

    def scored(parts: Floats) -> Floats:
        return np.concatenate([reference.scores(parts[:, rows], rows) for rows in groups])

    scores = {
        name: scored(
            parts_of(comparison, encode_spectra(comparison.bundle, comparison.direction, spectra, settings))
        )
        for name, spectra in foreign.items()
    }
    nearest = float(np.quantile(np.concatenate(list(scores.values())), 0.05))
    worst = extreme(scored(reference.calibration))
    figures: dict[str, Any] = {f"median score, {name}": float(np.median(s)) for name, s in scores.items()}
    figures |= {"0.99 quantile of the calibration": worst, "0.05 quantile of foreign scores": nearest}
    return DirectionCard(
        regularisation=comparison.regularisation,
        limit=max(1.1, float(np.sqrt(max(nearest / worst, 1.0)))),
        fit=len(reference.fit),
        calibration=len(reference.calibration),
        figures=figures,
    )


def _calibrate(
    bundle: Bundle, data: DataSet, settings: Settings, say: Say, axis: int | None = None
) -> tuple[Calibrated, dict[str, Reference]]:
    """Make the card's section on volumes, or on cuts along an axis, and the references by name."""
    cards: dict[str, DirectionCard] = {}
    references: dict[str, Reference] = {}
    spectra: Volumes | None = None
    for direction in DIRECTIONS:
        if bundle.card.keys(direction):
            reference, card, spectra = make_reference(bundle, data, direction, settings, say, axis)
            name = reference_name(direction, cuts=axis is not None)
            references[name], cards[direction] = reference, card
    if spectra is None:
        raise Exp2SimError(
            f"The model {bundle.card.name!r} has no generator.",
            reason="The domain check compares what a generator makes of data.",
            fix="Use a model that translates.",
        )
    bins = float((~spectra.mask).sum() / spectra.mask[:, :, 0, 0, 0].size)
    section = {"directions": cards, "shape": spectra.values.shape[2:], "measured_bins": bins}
    return Calibrated.model_validate(section), references


def _with_measured(bundle: Bundle, data: DataSet) -> Bundle:
    """Return the same model with intensities and symmetries of a data set on its card."""
    changes = {
        "levels": measure_levels(bundle.card, data),
        "symmetries": measure_symmetries(bundle.card, data),
    }
    return Bundle(bundle.folder, bundle.card.model_copy(update=changes), bundle.checksum)


def add_domain(
    bundle: Bundle, dataset: Path, *, settings: Settings | None = None, say: Say = lambda _: None
) -> Card:
    """Write the reference of the domain check into a model's folder, and the thresholds onto its card.

    The card also gets the intensities that data are brought to before a network, for the reference is
    computed after it, and the symmetries that results are averaged over. Nothing else of the model changes.
    Both directions that the model has are calibrated, where the data set has their kind. The same seed, data
    and machine give the same bytes.

    Raises `Exp2SimError` if the data set does not go with the model or is too small.
    """
    settings = settings or Settings.of(bundle.card)
    data = open_dataset(dataset)
    kinds = {"convolved", bundle.card.target}
    if not kinds <= set(data.description.kinds):
        raise Exp2SimError(
            f"The data set holds {', '.join(data.description.kinds)}.",
            reason=f"The model {bundle.card.name!r} translates between {' and '.join(sorted(kinds))}.",
            fix="Use the data set that the model was trained on, or one with the same kinds.",
        )
    require_bins(bundle, data)
    bundle = _with_measured(bundle, data)
    whole, references = _calibrate(bundle, data, settings, say)
    axis = cut_axis(bundle.card.layout)
    cuts = None
    if axis is not None:
        fewer = replace(settings, fit=min(settings.fit, MAX_CUT_FIT), held=min(settings.held, MAX_CUT_HELD))
        cuts, references_of_cuts = _calibrate(bundle, data, fewer, say, axis)
        references |= references_of_cuts
    content = reference_bytes(references)
    section = DomainCard.model_validate(
        {
            **whole.model_dump(),
            "file": WeightFile(sha256=sha256(content).hexdigest(), size=len(content)),
            "cuts": cuts,
            "points": settings.points,
            "seed": settings.seed,
            "settings": settings.record(),
        }
    )
    networks: dict[str, nn.Module] = {key: bundle.network(key) for key in bundle.card.weights}
    card = bundle.card.model_copy(update={"domain": section})
    return save_bundle(bundle.folder, card, networks, overwrite=True, domain=content)
