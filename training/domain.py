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
    """Reference and card of one direction, and the calibration spectra."""
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
    encoded = encode_spectra(model, direction, seen, settings)
    away = [encode_spectra(model, direction, part, settings) for part in (clean, spoilt)]
    say(f"{direction}: features of the validation split")
    unseen = encode_spectra(model, direction, held, settings)
    order = rng.permutation(len(seen.x))
    shares = settings.train / (settings.train + settings.fit)
    one, two = np.split(order, [round(shares * len(order))])
    energies = np.median(held.energies, axis=0).astype(float)
    reference, epsilon = fit_reference(
        encoded[one], joined(away), unseen, energies, usual_gaps(seen.mask), rng
    )
    bend, ends = bend_of(reference, encoded[two])
    reference = rounded(replace(reference, bend=bend, bend_limit=ends))
    pairs = draw_pairs(model, data, direction, "validation", settings, rng)
    if pairs is not None:
        say(f"{direction}: errors of the validation split")
        moments = encode_spectra(model, direction, pairs[0], settings).moments
        error, level = fit_errors(reference, moments, *squared_errors(model, direction, *pairs))
        reference = replace(reference, error=error, error_level=level)
    reference = rounded(
        replace(
            reference,
            fit=parts_of(reference, encoded[two], epsilon),
            calibration=parts_of(reference, unseen, epsilon),
        )
    )
    say(f"{direction}: foreign data")
    card = _limit(model, direction, reference, epsilon, held, other, settings, rng)
    return reference, card, held


def _limit(
    model: Model, direction: Role, reference: Reference, epsilon: float, held: Spectra, wrong: Spectra,
    settings: Settings, rng: np.random.Generator,
) -> DirectionCard:  # fmt: skip
    """Where untrustworthy begins: half way (in the logarithm) from in-domain to foreign data."""
    from mantid_exp2sim.training.domain_controls import foreign_for_limit

    groups = list(range(reference.fit.shape[1]))
    inside = reference.scores(reference.calibration, groups)
    scores: dict[str, Floats] = {}
    for name, spectra in foreign_for_limit(
        held, wrong, settings, rng, noisy=direction == "deconvolve"
    ).items():
        found = encode_spectra(model, direction, spectra, settings)
        scores[name] = reference.scores(parts_of(reference, found, epsilon), groups)
    nearest = float(np.quantile(np.concatenate(list(scores.values())), 0.05))
    worst = extreme(inside)
    figures: dict[str, Any] = {f"median score, {name}": float(np.median(s)) for name, s in scores.items()}
    figures |= {"0.99 quantile of the calibration": worst, "0.05 quantile of foreign scores": nearest}
    return DirectionCard(
        regularisation=epsilon,
        limit=max(1.1, float(np.sqrt(max(nearest / worst, 1.0)))),
        fit=len(reference.fit),
        calibration=len(reference.calibration),
        figures=figures,
    )


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
