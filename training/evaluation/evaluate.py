"""The measurement: every spectrum of a split through every way of translating it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.model.bundle import Bundle, open_bundle
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.simulation.noise import TYPICAL_NOISE, MeasurementNoise
from mantid_exp2sim.training.datasets.bins import require_bins
from mantid_exp2sim.training.datasets.pairs import HELD_OUT, PairedSet, open_pairs
from mantid_exp2sim.training.datasets.resolution import dataset_operator
from mantid_exp2sim.training.datasets.sampler import DataSet
from mantid_exp2sim.training.datasets.spectra import Spectra
from mantid_exp2sim.training.evaluation import figures
from mantid_exp2sim.training.evaluation.baselines import Baseline, choose_baseline
from mantid_exp2sim.training.evaluation.classifiers import null_response
from mantid_exp2sim.training.evaluation.comparison import Contest
from mantid_exp2sim.training.evaluation.coverage import coverage_report, domain_reports
from mantid_exp2sim.training.evaluation.foreign import foreign_report
from mantid_exp2sim.training.evaluation.memory import return_freed_memory

VALIDATION = 12
"""Validation spectra on which Richardson–Lucy is set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured on how many spectra."""

    split: str = "test"
    limit: int | None = None
    """Only the first so many spectra."""
    noise: MeasurementNoise = TYPICAL_NOISE
    """What measurement-like input has."""
    seed: int = 0
    classical: int = 200
    """So many spectra go through Richardson–Lucy and the data consistency."""
    coverage: int = 12
    """So many go through the model with errors, for the coverage."""
    foreign: int = 100
    """So many spectra of each foreign material are classified raw and deconvolved."""


def evaluate(
    model: str | Path | Bundle,
    dataset: str | Path,
    *,
    settings: Settings | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Measure a model on one split of a data set whose target kind the model was made for.

    Returns a JSON-able report, whose keys `mantid_exp2sim.training.evaluation.report` shows, and the volumes
    (Ei, h, k, E) of one spectrum by what was done to it.

    Raises `Exp2SimError` where the data set lacks what the model needs.
    """
    settings, say = settings or Settings(), progress or (lambda _: None)
    loaded = model if isinstance(model, Bundle) else open_bundle(model)
    data = open_pairs(Path(dataset))
    _check(loaded, data)
    if isinstance(data, PairedSet) and settings.split not in HELD_OUT:
        raise Exp2SimError(
            f"The pairs of the split {settings.split!r} are not compared.",
            reason="What is unknown is left out for all held-out pairs alike, and not for those of training.",
            fix=f"Take {' or '.join(HELD_OUT)}.",
        )
    spectra = _spectra(data, loaded, settings, settings.split, settings.limit)
    if not len(spectra):
        raise Exp2SimError(f"The split {settings.split!r} has no spectra.", fix="Take another --split.")
    say(f"{len(spectra)} spectra of {settings.split!r}")
    baseline, unknown = _baseline(data, loaded, settings, say, AXES)
    sliding = [axis for axis in AXES if axis not in loaded.card.layout.folded]
    of_cuts: Baseline | None = None
    if len(sliding) < len(AXES):
        of_cuts, _ = _baseline(data, loaded, settings, say, sliding)
    contest = Contest(loaded, spectra, baseline, of_cuts, settings.classical)
    for batch in spectra.batches():
        contest.measure(batch)
        return_freed_memory()
        say(f"{batch.first + len(batch.label)} of {len(spectra)}")
    say("inputs of no class, domain, errors")
    return {
        **_head(loaded, data, dataset, spectra, settings),
        "baseline": figures.baseline(baseline, unknown),
        "baseline_of_cuts": None if of_cuts is None else figures.baseline(of_cuts, ""),
        "axes": sliding,
        **figures.figures(contest.record, settings.seed),
        "null_response": null_response(loaded, spectra, settings.seed),
        "foreign": foreign_report(loaded, spectra, settings.foreign, say),
        **domain_reports(loaded, data, settings.seed),
        "coverage": coverage_report(loaded, spectra, settings.split, settings.coverage),
    }, contest.record.example


def _check(model: Bundle, data: DataSet) -> None:
    card, described = model.card, data.description
    if card.target not in described.kinds or "convolved" not in described.kinds:
        raise Exp2SimError(
            f"The data set holds {', '.join(described.kinds)}.",
            reason=f"The model {card.name!r} translates between 'convolved' and {card.target!r}.",
            fix="Take a data set of these kinds, or another model.",
        )
    require_bins(model, data)
    if card.classifiers and tuple(card.classes) != described.classes:
        raise Exp2SimError(
            f"The data set has the classes {', '.join(described.classes)}.",
            reason=f"The model has {', '.join(card.classes)}.",
            fix="Take a data set like the one that the model was trained on.",
        )


def _spectra(data: DataSet, model: Bundle, settings: Settings, split: str, limit: int | None) -> Spectra:
    return Spectra(data, model.card.target, data.split(split, limit), settings.noise, settings.seed)


def _baseline(
    data: DataSet, model: Bundle, settings: Settings, say: Callable[[str], None], along: Sequence[str]
) -> tuple[Baseline | None, str]:
    """The classical baseline with the resolution along some axes, or why there is none."""
    try:
        operator = dataset_operator(data, along=along)
        validation = _spectra(data, model, settings, "validation", VALIDATION)
    except Exp2SimError as error:
        return None, str(error)
    say(f"set Richardson–Lucy along {', '.join(along)} on validation spectra")
    return choose_baseline(operator, validation), ""


def _head(
    model: Bundle, data: DataSet, dataset: str | Path, spectra: Spectra, settings: Settings
) -> dict[str, Any]:
    return {
        "model": model.card.name,
        "checksum": model.checksum,
        "dataset": str(dataset),
        "split": settings.split,
        "mosaics": len(spectra),
        "classical_mosaics": min(len(spectra), settings.classical),
        "target": spectra.target,
        "incident_energies": data.energies.tolist(),
        "seed": settings.seed,
        "noise": settings.noise.counting[1],
        "background": settings.noise.background,
        "parameters": sum(p.numel() for p in model.members("deconvolve")[0].parameters()),
        "machine": platform.machine(),
    }
