"""The reference of the domain check: ``exp2sim domain MODEL DATASET``.

Each direction's training domain is sampled as the generator met it (symmetries, intensity, and for
measurement-like data the background and noise of the recipe). One part of the training split gives the
directions of the features, another the scales of the score; the validation split is the calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.check import Gauge
from mantid_exp2sim.domain.detector_gaps import usual_gaps
from mantid_exp2sim.domain.features import Role
from mantid_exp2sim.domain.likeness import Reference, extreme
from mantid_exp2sim.domain.reference import reference_bytes, reference_name, rounded
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import Bundle, save_bundle
from mantid_exp2sim.model.card import Calibrated, Card, DirectionCard, DomainCard, WeightFile
from mantid_exp2sim.training.calibration.cuts import Cuts, cut_axis, cut_out, rows_of
from mantid_exp2sim.training.calibration.domain_errors import draw_pairs, fit_errors, squared_errors
from mantid_exp2sim.training.calibration.domain_fit import bend_of, fit_reference, joined, parts_of
from mantid_exp2sim.training.calibration.spectra import (
    DIRECTIONS,
    Settings,
    as_in_training,
    encode_spectra,
    kind_of,
    read_spectra,
)
from mantid_exp2sim.training.datasets.bins import require_bins
from mantid_exp2sim.training.datasets.dataset import DataSet, open_dataset
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.synthetic.controls import controls

if TYPE_CHECKING:
    from torch import nn

Floats: TypeAlias = NDArray[np.float64]

MIN_SPECTRA = 20
"""Fewer held-out spectra cannot tell a p-value of 0.05."""
MOST_CUTS, ENOUGH_CUTS = 4, 400
"""Cuts of each volume: so many at most, and no more than so many of the whole validation split."""
CUT_FIT, CUT_HELD = 200, 300
"""Spectra that are cut, at most: two references have to go into one file."""


def make_reference(
    model: Bundle,
    data: DataSet,
    direction: Role,
    settings: Settings,
    say: Callable[[str], None],
    axis: int | None = None,
) -> tuple[Reference, DirectionCard, Volumes]:
    """Reference and card of one direction, and the calibration spectra.

    With ``axis`` those of single cuts along this axis of the volumes (h, k, E).
    """
    number = DIRECTIONS.index(direction)
    rng = np.random.default_rng([settings.seed, number] + ([] if axis is None else [1 + axis]))
    noisy = direction == "deconvolve"
    own, wrong = kind_of(model.card, direction), kind_of(model.card, DIRECTIONS[1 - number])
    say(f"{direction}: features of the training split")
    seen = as_in_training(
        read_spectra(data, own, "train", settings.train + settings.fit, rng), settings, rng, noisy=noisy
    )
    other = read_spectra(data, wrong, "train", settings.other, rng)
    half = len(other) // 2
    clean = as_in_training(other[:half], settings, rng, noisy=False)
    spoilt = as_in_training(other[half:], settings, rng, noisy=True)
    held = as_in_training(
        read_spectra(data, own, "validation", settings.held, rng), settings, rng, noisy=noisy
    )
    if len(held) < MIN_SPECTRA:
        raise Exp2SimError(
            f"The validation split has {len(held)} spectra of {own!r}.",
            reason=f"At least {MIN_SPECTRA} are needed to calibrate a p-value.",
        )
    each = 0 if axis is None else max(1, min(MOST_CUTS, ENOUGH_CUTS // len(held)))
    cuts = cut_out(seen, axis, each, rng)
    encoded = encode_spectra(model, direction, cuts, settings)
    away = [
        encode_spectra(model, direction, cut_out(part, axis, each, rng), settings) for part in (clean, spoilt)
    ]
    say(f"{direction}: features of the validation split")
    kept = cut_out(held, axis, each, rng)
    unseen = encode_spectra(model, direction, kept, settings)
    order = rng.permutation(len(seen))
    shares = settings.train / (settings.train + settings.fit)
    one, two = np.split(order, [round(shares * len(order))])
    energies = np.median(held.energies, axis=0).astype(float)
    reference, epsilon = fit_reference(
        encoded[rows_of(one, each)], joined(away), unseen, energies, usual_gaps(cuts.mask), rng
    )
    rows = rows_of(two, each)
    bend, ends = bend_of(reference, encoded[rows])
    reference = rounded(replace(reference, bend=bend, bend_limit=ends))
    pairs = draw_pairs(model, data, direction, "validation", settings, rng)
    if pairs is not None:
        say(f"{direction}: errors of the validation split")
        at = None if axis is None else Cuts.draw(pairs[0].mask, axis, each, rng)
        looked = pairs[0] if at is None else at.spectra(pairs[0])
        moments = encode_spectra(model, direction, looked, settings).moments
        errors = squared_errors(model, direction, *pairs, cuts=at)
        error, level = fit_errors(reference, moments, *errors)
        reference = replace(reference, error=error, error_level=level)
    gauge = Gauge(
        model, direction, reference, epsilon, kept.values.shape[2:], settings.points, settings.seed,
        cuts=axis is not None,
    )  # fmt: skip
    fit, calibration = parts_of(gauge, encoded[rows]), parts_of(gauge, unseen)
    gauge = replace(gauge, reference=rounded(replace(reference, fit=fit, calibration=calibration)))
    say(f"{direction}: foreign data")
    foreign = _foreign(held, other, settings, rng, noisy=noisy)
    foreign = {name: cut_out(spectra, axis, each, rng) for name, spectra in foreign.items()}
    return gauge.reference, _limit(gauge, foreign, settings), kept


def _foreign(
    held: Volumes, wrong: Volumes, settings: Settings, rng: np.random.Generator, *, noisy: bool
) -> dict[str, Volumes]:
    """The foreign data that "untrustworthy" is chosen on: never those that are reported as never seen."""
    some = held[: settings.foreign]
    found = {"wrong domain": as_in_training(wrong[: settings.foreign], settings, rng, noisy=noisy)}
    for name, spectra in controls(some, rng).items():
        found[name] = as_in_training(spectra, settings, rng, noisy=noisy, augment=False)
    return found


def _limit(gauge: Gauge, foreign: dict[str, Volumes], settings: Settings) -> DirectionCard:
    """Where untrustworthy begins: half way (in the logarithm) from in-domain to foreign data.

    Cuts are looked at as they are met, of one incident energy each.
    """
    reference = gauge.reference
    every = list(range(reference.fit.shape[1]))
    groups = [[group] for group in every] if gauge.cuts else [every]

    def scored(parts: Floats) -> Floats:
        return np.concatenate([reference.scores(parts[:, own], own) for own in groups])

    scores: dict[str, Floats] = {}
    for name, spectra in foreign.items():
        scores[name] = scored(parts_of(gauge, encode_spectra(gauge.bundle, gauge.role, spectra, settings)))
    nearest = float(np.quantile(np.concatenate(list(scores.values())), 0.05))
    worst = extreme(scored(reference.calibration))
    figures: dict[str, Any] = {f"median score, {name}": float(np.median(s)) for name, s in scores.items()}
    figures |= {"0.99 quantile of the calibration": worst, "0.05 quantile of foreign scores": nearest}
    return DirectionCard(
        regularisation=gauge.regularisation,
        limit=max(1.1, float(np.sqrt(max(nearest / worst, 1.0)))),
        fit=len(reference.fit),
        calibration=len(reference.calibration),
        figures=figures,
    )


def _calibrated(
    model: Bundle,
    data: DataSet,
    settings: Settings,
    say: Callable[[str], None] | None,
    references: dict[str, Reference],
    axis: int | None = None,
) -> Calibrated:
    """The card's section on volumes, or on cuts along an axis; puts the references where they are wanted."""
    cards: dict[str, DirectionCard] = {}
    spectra: Volumes | None = None
    for direction in DIRECTIONS:
        if model.card.keys(direction):
            name = reference_name(direction, cuts=axis is not None)
            tell = (lambda _: None) if say is None else say
            made = make_reference(model, data, direction, settings, tell, axis)
            references[name], cards[direction], spectra = made
    if spectra is None:
        raise Exp2SimError(f"The model {model.card.name!r} has no generator.")
    bins = float((~spectra.mask).sum() / spectra.mask[:, :, 0, 0, 0].size)
    return Calibrated.model_validate(
        {"directions": cards, "shape": spectra.values.shape[2:], "measured_bins": bins}
    )


def add_domain(
    model: Bundle,
    dataset: Path,
    *,
    settings: Settings | None = None,
    say: Callable[[str], None] | None = None,
) -> Card:
    """Write the reference of the domain check into a model's folder, and the thresholds onto its card.

    Nothing else of the model changes. Both directions that the model has are calibrated, where the data set
    has their kind. The same seed, data and machine give the same bytes.

    Raises
    ------
    Exp2SimError
        If the data set does not go with the model or is too small.
    """
    from hashlib import sha256

    chosen = settings or Settings.of(model.card)
    data = open_dataset(dataset)
    kinds = {"convolved", model.card.target}
    if not kinds <= set(data.description.kinds):
        raise Exp2SimError(
            f"The data set holds {', '.join(data.description.kinds)}.",
            reason=f"The model {model.card.name!r} translates between {' and '.join(sorted(kinds))}.",
        )
    require_bins(model, data)
    references: dict[str, Reference] = {}
    whole = _calibrated(model, data, chosen, say, references)
    axis = cut_axis(model.card.layout)
    cuts = None
    if axis is not None:
        fewer = replace(chosen, fit=min(chosen.fit, CUT_FIT), held=min(chosen.held, CUT_HELD))
        cuts = _calibrated(model, data, fewer, say, references, axis)
    content = reference_bytes(references)
    section = DomainCard.model_validate(
        {
            **whole.model_dump(),
            "file": WeightFile(sha256=sha256(content).hexdigest(), size=len(content)),
            "cuts": cuts,
            "points": chosen.points,
            "seed": chosen.seed,
            "settings": chosen.record(),
        }
    )
    networks: dict[str, nn.Module] = {key: model.network(key) for key in model.card.weights}
    card = model.card.model_copy(update={"domain": section})
    return save_bundle(model.folder, card, networks, overwrite=True, domain=content)
