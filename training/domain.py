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
from mantid_exp2sim.training.domain_cuts import Cuts, cut_axis, cut_out, in_blocks, rows_of
from mantid_exp2sim.training.domain_errors import draw_pairs, fit_errors, squared_errors
from mantid_exp2sim.training.domain_fit import bend_of, fit_reference, joined, parts_of
from mantid_exp2sim.training.domain_spectra import (
    DIRECTIONS,
    Settings,
    Spectra,
    as_in_training,
    encode_spectra,
    kind_of,
    read_spectra,
)
from mantid_exp2sim.training.store import DataSet, open_dataset
from numpy.typing import NDArray

from mantid_exp2sim.applicability import Gauge
from mantid_exp2sim.bundle import Model, save_bundle
from mantid_exp2sim.card import Card, DirectionCard, DomainCard, WeightFile
from mantid_exp2sim.encoder import Role
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.gaps import usual_gaps
from mantid_exp2sim.likeness import Reference, extreme
from mantid_exp2sim.reference import reference_bytes, rounded

if TYPE_CHECKING:
    from torch import nn

Floats: TypeAlias = NDArray[np.float64]

MIN_SPECTRA = 20
"""Fewer held-out spectra cannot tell a p-value of 0.05."""


def make_reference(
    model: Model, data: DataSet, direction: Role, settings: Settings, say: Callable[[str], None]
) -> tuple[Reference, DirectionCard, Spectra]:
    """Reference and card of one direction, and the calibration spectra.

    Of a model that takes single cuts, these are cuts, and whole spectra are calibrated cut by cut as well.
    """
    number = DIRECTIONS.index(direction)
    rng = np.random.default_rng([settings.seed, number])
    noisy = direction == "deconvolve"
    own, wrong = kind_of(model.card, direction), kind_of(model.card, DIRECTIONS[1 - number])
    say(f"{direction}: features of the training split")
    seen = as_in_training(
        read_spectra(data, own, "train", settings.train + settings.fit, rng), settings, rng, noisy=noisy
    )
    other = read_spectra(data, wrong, "train", settings.other, rng)
    half = len(other.x) // 2
    clean = as_in_training(other[:half], settings, rng, noisy=False)
    spoilt = as_in_training(other[half:], settings, rng, noisy=True)
    held = as_in_training(
        read_spectra(data, own, "validation", settings.held, rng), settings, rng, noisy=noisy
    )
    if len(held.x) < MIN_SPECTRA:
        raise Exp2SimError(
            f"The validation split has {len(held.x)} spectra of {own!r}.",
            why=f"At least {MIN_SPECTRA} are needed to calibrate a p-value.",
        )
    axis = cut_axis(model.card.layout)
    cuts = cut_out(seen, axis, rng)
    encoded = encode_spectra(model, direction, cuts, settings)
    away = [encode_spectra(model, direction, cut_out(part, axis, rng), settings) for part in (clean, spoilt)]
    say(f"{direction}: features of the validation split")
    kept = cut_out(held, axis, rng)
    unseen = encode_spectra(model, direction, kept, settings)
    order = rng.permutation(len(seen.x))
    shares = settings.train / (settings.train + settings.fit)
    one, two = np.split(order, [round(shares * len(order))])
    energies = np.median(held.energies, axis=0).astype(float)
    reference, epsilon = fit_reference(
        encoded[rows_of(one, axis)], joined(away), unseen, energies, usual_gaps(cuts.mask), rng
    )
    rows = rows_of(two, axis)
    bend, ends = bend_of(reference, encoded[rows])
    reference = rounded(replace(reference, bend=bend, bend_limit=ends))
    pairs = draw_pairs(model, data, direction, "validation", settings, rng)
    if pairs is not None:
        say(f"{direction}: errors of the validation split")
        looked, errors = pairs[0], squared_errors(model, direction, *pairs)
        if axis is not None:
            at = Cuts.draw(looked.mask, axis, rng)
            looked, errors = at.spectra(looked), squared_errors(model, direction, *pairs, cuts=at)
        moments = encode_spectra(model, direction, looked, settings).moments
        error, level = fit_errors(reference, moments, *errors)
        reference = replace(reference, error=error, error_level=level)
    shape = kept.x.shape[2:]
    gauge = Gauge(model, direction, reference, epsilon, shape, settings.points, settings.seed)
    calibrations: dict[str, Any] = {
        "fit": parts_of(gauge, encoded[rows]),
        "calibration": parts_of(gauge, unseen),
    }
    if axis is not None:
        say(f"{direction}: whole spectra, cut by cut")
        calibrations |= {
            f"block_{name}": in_blocks(gauge, whole)[0]
            for name, whole in (("fit", seen[two]), ("calibration", held))
        }
    gauge = replace(gauge, reference=rounded(replace(reference, **calibrations)))
    say(f"{direction}: foreign data")
    return gauge.reference, _limit(gauge, held, other, settings, rng), kept


def _limit(
    gauge: Gauge, held: Spectra, wrong: Spectra, settings: Settings, rng: np.random.Generator
) -> DirectionCard:
    """Where untrustworthy begins: half way (in the logarithm) from in-domain to foreign data."""
    from mantid_exp2sim.training.domain_controls import foreign_for_limit

    axis = cut_axis(gauge.model.card.layout)
    whole, single = {}, {}
    for name, spectra in foreign_for_limit(
        held, wrong, settings, rng, noisy=gauge.role == "deconvolve"
    ).items():
        cuts = cut_out(spectra, axis, rng)
        single[name] = parts_of(gauge, encode_spectra(gauge.model, gauge.role, cuts, settings))
        if axis is not None:
            whole[name] = in_blocks(gauge, spectra)[0]
    every = list(range(gauge.reference.fit.shape[1]))
    limit, figures = _half_way(gauge.reference, single, [every] if axis is None else [[g] for g in every])
    in_several = None
    if axis is not None:
        in_several, more = _half_way(gauge.reference.in_blocks(), whole, [every])
        figures |= {f"{name}, in blocks": value for name, value in more.items()}
    return DirectionCard(
        regularisation=gauge.regularisation,
        limit=limit,
        limit_in_blocks=in_several,
        fit=len(gauge.reference.fit),
        calibration=len(gauge.reference.calibration),
        figures=figures,
    )


def _half_way(
    reference: Reference, foreign: dict[str, Floats], groups: list[list[int]]
) -> tuple[float, dict[str, Any]]:
    """The limit, over the 99 % quantile of the calibration, and what it is made of.

    ``groups``: the incident energies that data have, all of them or one alone.
    """

    def scored(parts: Floats) -> Floats:
        return np.concatenate([reference.scores(parts[:, own], own) for own in groups])

    scores = {name: scored(parts) for name, parts in foreign.items()}
    nearest = float(np.quantile(np.concatenate(list(scores.values())), 0.05))
    worst = extreme(scored(reference.calibration))
    figures: dict[str, Any] = {f"median score, {name}": float(np.median(s)) for name, s in scores.items()}
    figures |= {"0.99 quantile of the calibration": worst, "0.05 quantile of foreign scores": nearest}
    return max(1.1, float(np.sqrt(max(nearest / worst, 1.0)))), figures


def add_domain(
    model: Model, dataset: Path, *, settings: Settings | None = None, say: Callable[[str], None] | None = None
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
            why=f"The model {model.card.name!r} translates between {' and '.join(sorted(kinds))}.",
        )
    references: dict[str, Reference] = {}
    cards: dict[str, DirectionCard] = {}
    spectra: Spectra | None = None
    for direction in DIRECTIONS:
        if model.card.keys(direction):
            made = make_reference(model, data, direction, chosen, say or (lambda _: None))
            references[direction], cards[direction], spectra = made
    if spectra is None:
        raise Exp2SimError(f"The model {model.card.name!r} has no generator.")
    content = reference_bytes(references)
    section = DomainCard.model_validate(
        {
            "file": WeightFile(sha256=sha256(content).hexdigest(), size=len(content)),
            "directions": cards,
            "shape": spectra.x.shape[2:],
            "measured_bins": float((~spectra.mask).sum() / spectra.mask[:, :, 0, 0, 0].size),
            "points": chosen.points,
            "seed": chosen.seed,
            "settings": chosen.record(),
        }
    )
    networks: dict[str, nn.Module] = {key: model.network(key) for key in model.card.weights}
    card = model.card.model_copy(update={"domain": section})
    return save_bundle(model.folder, card, networks, overwrite=True, domain=content)
