"""Fit the error that a deconvolution is expected to have, under conditions that its training did not have.

``exp2sim domain MODEL DATASET --foretell N``: spectra are simulated under conditions of measurement that
are drawn at random, from a seed that neither a data set nor the named shifts use. The logarithm of the true
error is fitted to what the network's features are; so the domain check tells an error that grows with
phonons, tails and noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.domain.likeness import Reference, together
from mantid_exp2sim.domain.reference import all_references, domain_card, reference_bytes, rounded
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.inference.inversion import OFF, offset
from mantid_exp2sim.inference.translate import translate_volumes
from mantid_exp2sim.inference.volumes import Volumes as OpenVolumes
from mantid_exp2sim.model.bundle import Bundle, save_bundle
from mantid_exp2sim.model.card import Card, WeightFile
from mantid_exp2sim.simulation.conditions import MeasurementConditions
from mantid_exp2sim.simulation.noise import NOISELESS, TYPICAL_NOISE
from mantid_exp2sim.simulation.simulation_conditions import SimulationConditions
from mantid_exp2sim.training.calibration.domain_fit import fit_errors
from mantid_exp2sim.training.calibration.masks import VARIED
from mantid_exp2sim.training.calibration.spectra import Settings, encode_spectra
from mantid_exp2sim.training.datasets.simulate import draw
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.evaluation.shifts import Source

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.noise import MeasurementNoise

DEVELOPMENT = 777_000
"""Added to the seed: no spectrum is one of the named shifts."""
SHIFTED = 0.75
"""Share of the spectra that have more than the noise and the masks of the training."""
MEASURING: tuple[tuple[float, dict[str, Any]], ...] = (
    (0.15, {"phonons": (0, 1.2)}),
    (0.15, {"phonons": (0, 0.5)}),
    (0.2, {"elastic_tail": (0, 0.5)}),
    (0.2, {"background": (0, 0.5)}),
    (0.03, {"empty": 1, "background": (0.5, 1)}),
    (0.12, {"spurions": (1, 8)}),
    (0.1, {"clip": (0.95, 1.0)}),
    (0.12, {"efficiency": (0, 0.15)}),
    (0.12, {"debye_waller": (0, 0.02), "flux_factor": 0.5, "temperature": (0, 150)}),
    (0.15, {"noise": NOISELESS, "counts": (0.1, 10), "subtracted": (0, 0.5)}),
    (0.12, {"rotation": (0, 1.5), "shift": (0, 0.04)}),
    (0.15, {"cut_negatives": 1}),
)
"""Probability of each of the conditions of measurement."""
SIMULATING: tuple[tuple[float, dict[str, Any]], ...] = (
    (0.12, {"frequency_factor": (0.45, 1.3)}),
    (0.12, {"width_scale": (0.9, 1.3)}),
    (0.12, {"line_width": (0, 3)}),
    (0.12, {"first_twin": (0.5, 0.9)}),
    (0.1, {"physics": ("paper_compatible",)}),
)


DOUBTFUL, REFUSED = 1.6, 3.5
"""Times the usual expected error from which data are not trustworthy, and from which they are refused."""


def draw_conditions(
    rng: np.random.Generator, usual: MeasurementNoise
) -> tuple[MeasurementConditions, SimulationConditions, bool]:
    """Draw the conditions of one spectrum, and say whether they are others than those of the training.

    ``usual`` is the noise of the training.
    """
    noise = usual if rng.random() < 0.5 else TYPICAL_NOISE
    shifted = rng.random() < SHIFTED
    measuring: dict[str, Any] = {"noise": noise, "masks": VARIED}
    simulating: dict[str, Any] = {}
    for table, choices in ((measuring, MEASURING), (simulating, SIMULATING)):
        for probability, changes in choices:
            if rng.random() < probability and shifted:
                table.update(changes)
    return MeasurementConditions(**measuring), SimulationConditions(**simulating), shifted


@dataclass(frozen=True, slots=True, eq=False)
class _Example:
    """A spectrum's features (G, D), Σ (result − truth)² and Σ truth² (G,), and whether it was shifted."""

    moments: Floats
    wrong: Floats
    true: Floats
    shifted: bool

    @classmethod
    def make(cls, bundle: Bundle, source: Source, index: int, seed: int, settings: Settings) -> _Example:
        rng = np.random.default_rng([DEVELOPMENT, seed, index])
        measuring, simulating, shifted = draw_conditions(rng, settings.noise)
        volumes = draw(source.recipe, index, simulating.draw(rng, source.recipe.options))[1]
        convolved, unconvolved = (
            volumes[kind][None].astype(np.float32) for kind in ("convolved", "integrated")
        )
        measured = measuring.measure(rng, convolved, unconvolved, source.own, source.bins, source.energies)
        values, mask = measured.values[0].astype(np.float64), measured.mask[0]
        moments = encode_spectra(
            bundle, "deconvolve", Volumes(values[None], mask[None], source.energies[None]), settings
        ).moments[0]
        result = _deconvolved(bundle, values, mask, source.energies)
        squares = (np.where(mask, 0, x) ** 2 for x in (result - measured.truth[0], measured.truth[0]))
        wrong, true = (square.sum(axis=(1, 2, 3), dtype=float) for square in squares)
        return cls(moments, wrong, true, shifted)


def _deconvolved(bundle: Bundle, values: Floats, mask: Booleans, energies: Floats) -> Floats:
    """Deconvolve volumes (G, h, k, E) as a translation does, averaged with their inversion if they lie so."""
    if np.abs(offset(values, mask)).max() > OFF:
        card = bundle.card.model_copy(update={"symmetries": ()})
        bundle = Bundle(bundle.folder, card, bundle.checksum)
    unknown = np.where(mask, np.nan, 0.0)
    data = OpenVolumes(values + unknown, unknown, mask, energies, open=lambda a: a, close=lambda a: a)
    return translate_volumes(bundle, "deconvolve", data)[0]


def fit_expected_errors(
    bundle: Bundle, *, spectra: int = 200, seed: int = 0, say: Callable[[str], None] = lambda _: None
) -> Card:
    """Fit the expected error of deconvolved spectra and write it into the reference of the domain check.

    The usual one is the median of those under the conditions of the training. Returns the changed card.
    Raises `Exp2SimError` where the model has no reference, or its spectra cannot be simulated.
    """
    card, references = domain_card(bundle), all_references(bundle)
    settings, source = Settings.recorded(card), Source.of(bundle, DEVELOPMENT + seed)
    examples = []
    for index in range(spectra):
        examples.append(_Example.make(bundle, source, index, seed, settings))
        if (index + 1) % 10 == 0:
            say(f"{index + 1} of {spectra} spectra")
    moments, wrong, true = (
        np.stack([getattr(example, name) for example in examples]) for name in ("moments", "wrong", "true")
    )
    error, level = fit_errors(references["deconvolve"], moments, wrong, true)
    fitted = rounded(replace(references["deconvolve"], error=error, error_level=level))
    usual = [_whole(fitted, example.moments) for example in examples if not example.shifted]
    return _write(bundle, {**references, "deconvolve": fitted}, float(np.median(usual)), spectra)


def _whole(reference: Reference, moments: Floats) -> float:
    errors = reference.errors(moments, range(len(moments)))
    return float("nan") if errors is None else float(together(errors))


def _write(bundle: Bundle, references: Mapping[str, Reference], usual: float, spectra: int) -> Card:
    content, card = reference_bytes(references), domain_card(bundle)
    changes = {"usual_error": usual, "doubtful_error": DOUBTFUL, "refused_error": REFUSED}
    section = card.directions["deconvolve"]
    figures = {**section.figures, "spectra that the expected error was fitted to": spectra}
    directions = {
        **card.directions,
        "deconvolve": section.model_copy(update={**changes, "figures": figures}),
    }
    file = WeightFile(sha256=sha256(content).hexdigest(), size=len(content))
    domain = card.model_copy(update={"directions": directions, "file": file})
    networks: dict[str, Any] = {key: bundle.network(key) for key in bundle.card.weights}
    changed = bundle.card.model_copy(update={"domain": domain})
    return save_bundle(bundle.folder, changed, networks, overwrite=True, domain=content)
