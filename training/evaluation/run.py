"""The measurement: every spectrum of a split through every way of translating it."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mantid_exp2sim.training.datasets import DataSet
from mantid_exp2sim.training.evaluation import figures
from mantid_exp2sim.training.evaluation.classifiers import correlations, null_areas, null_response
from mantid_exp2sim.training.evaluation.extras import coverage_report, domain_report, panel_report
from mantid_exp2sim.training.evaluation.foreign import foreign_report
from mantid_exp2sim.training.evaluation.inputs import Batch, Spectra
from mantid_exp2sim.training.evaluation.measures import panel_sums
from mantid_exp2sim.training.evaluation.translators import (
    Baseline,
    Translator,
    blur,
    choose_baseline,
    model_translator,
    open_translator,
)
from mantid_exp2sim.training.memory import return_freed_memory
from mantid_exp2sim.training.operator import dataset_operator
from mantid_exp2sim.training.pairs import open_pairs
from numpy.typing import NDArray

from mantid_exp2sim.bundle import Model, load_model
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    import torch

CASES = {
    "deconvolve": ("deconvolve", "convolved", "target"),
    "deconvolve_measured": ("deconvolve", "measured", "target"),
    "convolve": ("convolve", "target", "convolved"),
}
"""What is translated: direction, source and truth."""
CLASSICAL = {"deconvolve": "richardson_lucy", "convolve": "resolution"}
"""What the known resolution does in each direction."""
VALIDATION = 12
"""Validation spectra on which Richardson–Lucy is set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured on how many spectra."""

    split: str = "test"
    limit: int | None = None
    """Only the first so many spectra."""
    noise: float = 0.7
    """Variance of the counting noise of measurement-like input, over its intensity."""
    background: float = 0.7
    """Mean height of its background."""
    seed: int = 0
    classical: int = 200
    """So many spectra go through Richardson–Lucy and the data consistency."""
    extras: int = 4
    """So many go through `Model.deconvolve` with errors, for the coverage."""
    panels: int = 100
    """So many are asked which panels the classifier looks at."""
    foreign: int = 100
    """So many spectra of each foreign material are classified raw and deconvolved."""


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared: trainings of the same model (the first one is the model), and what else there is."""

    models: Sequence[Model]
    translators: Sequence[Translator]
    paired: Translator | None
    baseline: Baseline | None


@dataclass(slots=True, eq=False)
class Record:
    """What was measured: by name, one list entry per batch, for each seed where that matters.

    ``sums``: (case, method, seed) to `panel_sums`; ``answers``: (reader, input, seed) to correlations
    (n, classes); ``consistency``: (source, method, seed) to ‖R·made − source‖/‖source‖ (n,).
    """

    sums: dict[tuple[str, str, int], list[dict[str, NDArray[np.float32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    answers: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    consistency: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    example: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def evaluate(
    model: str | Path | Model,
    dataset: str | Path,
    *,
    settings: Settings | None = None,
    also: Sequence[str | Path | Model] = (),
    paired: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Measure a model on one split of a data set whose target kind the model was made for.

    ``also``: other trainings of the same model; figures are then means over all of them, and intervals cover
    trainings and spectra. ``paired``: a model or a run trained on pairs, as a bound.

    Returns a JSON-able report, whose keys `mantid_exp2sim.training.evaluation.report` shows, and the volumes
    (Ei, h, k, E) of one spectrum by what was done to it.

    Raises `Exp2SimError` where the data set lacks what the model needs.
    """
    settings, say = settings or Settings(), progress or (lambda _: None)
    models = [one if isinstance(one, Model) else load_model(one) for one in (model, *also)]
    data = open_pairs(Path(dataset))
    for one in models:
        _check(one, data)
    spectra = _spectra(data, models[0], settings, settings.split, settings.limit)
    if not len(spectra):
        raise Exp2SimError(f"The split {settings.split!r} has no spectra.")
    say(f"{len(spectra)} spectra of {settings.split!r}")
    baseline, unknown = _baseline(data, models[0], settings, say)
    contest = Contest(
        models,
        [model_translator(one) for one in models],
        None if paired is None else open_translator(paired),
        baseline,
    )
    record = Record()
    for batch in spectra.batches():
        measure(contest, spectra, batch, settings, record)
        return_freed_memory()
        say(f"{batch.first + len(batch.label)} of {len(spectra)}")
    report = {
        **_head(models, data, dataset, spectra, settings),
        "paired": None if contest.paired is None else _about(str(paired), contest.paired),
        "parameters": contest.translators[0].parameters(),
        "baseline": figures.baseline(baseline, unknown),
        **figures.figures(record, settings.seed),
    }
    say("inputs of no class, domain, errors, panels")
    domains = {"target": models[0].card.target, "convolved": "convolved"}
    own = {domains[reader]: found.pop("correlations") for reader, found in report["calibration"].items()}
    return {
        **report,
        "null_response": null_response(models[0], spectra, settings.seed),
        "null_auroc": null_areas(models[0], spectra, own, settings.seed),
        "foreign": foreign_report(models[0], spectra, settings.foreign, say),
        "domain": domain_report(models[0], data, settings.seed),
        "coverage": coverage_report(models[0], spectra, settings),
        "panels": panel_report(models[0], spectra, settings.panels),
    }, record.example


def _check(model: Model, data: DataSet) -> None:
    card, described = model.card, data.description
    if card.target not in described.kinds or "convolved" not in described.kinds:
        raise Exp2SimError(
            f"The data set holds {', '.join(described.kinds)}.",
            why=f"The model {card.name!r} translates between 'convolved' and {card.target!r}.",
        )
    if card.classifiers and tuple(card.classes) != described.classes:
        raise Exp2SimError("The data set has other classes than the model.")


def _spectra(data: DataSet, model: Model, settings: Settings, split: str, limit: int | None) -> Spectra:
    return Spectra(
        data, model.card.target, data.split(split, limit), settings.noise, settings.background, settings.seed
    )


def _baseline(
    data: DataSet, model: Model, settings: Settings, say: Callable[[str], None]
) -> tuple[Baseline | None, str]:
    """The classical baseline, or why there is none."""
    try:
        operator = dataset_operator(data)
        validation = _spectra(data, model, settings, "validation", VALIDATION)
    except Exp2SimError as error:
        return None, str(error)
    say("set Richardson–Lucy on validation spectra")
    return choose_baseline(operator, validation), ""


def _head(
    models: Sequence[Model], data: DataSet, dataset: str | Path, spectra: Spectra, settings: Settings
) -> dict[str, Any]:
    return {
        "model": models[0].card.name,
        "checksum": models[0].checksum,
        "seeds": [{"model": str(one.card.name), "checksum": one.checksum} for one in models],
        "dataset": str(dataset),
        "split": settings.split,
        "mosaics": len(spectra),
        "classical_mosaics": min(len(spectra), settings.classical),
        "target": spectra.target,
        "incident_energies": data.energies.tolist(),
        "energy_edges": spectra.energy_edges,
        "seed": settings.seed,
        "noise": settings.noise,
        "background": settings.background,
        "machine": platform.machine(),
    }


def _about(name: str, translator: Translator) -> dict[str, Any]:
    return {"name": Path(name).name, "parameters": translator.parameters()}


def measure(contest: Contest, spectra: Spectra, batch: Batch, settings: Settings, record: Record) -> None:
    """Add what one batch shows to the record."""
    mask = spectra.mask
    record.labels.append(batch.label)
    deconvolved: dict[int, torch.Tensor] = {}
    some = min(len(batch.label), max(0, settings.classical - batch.first))
    for case, (direction, source, truth) in CASES.items():
        x, wanted = batch.source(source), batch.source(truth)
        for method, seed, made in _ways(contest, spectra, case, x, some):
            record.sums[case, method, seed].append(panel_sums(made, wanted[: len(made)], mask))
            reader = "target" if direction == "deconvolve" else "convolved"
            _read(contest, record, reader, figures.input_name(case, method), made, seed, mask)
            if direction == "deconvolve" and some and method != "identity":
                _consistency(contest, spectra, record, (source, method, seed), made[:some], x[:some])
            if case == "deconvolve" and method == "translated":
                deconvolved[seed] = made
            if not batch.first and seed == 0:
                record.example.setdefault(source, x[0].numpy())
                record.example[f"{case}:{method}"] = made[0].numpy()
    _own_kinds(contest, batch, deconvolved, record, mask)
    if some:
        _floors(contest, spectra, batch, record, some)


def _ways(
    contest: Contest, spectra: Spectra, case: str, x: torch.Tensor, some: int
) -> Iterator[tuple[str, int, torch.Tensor]]:
    """Every way of translating ``x``: its name, the seed's number, the result (of the first ones alone)."""
    import torch

    direction, source, _ = CASES[case]
    yield "untranslated", 0, x
    yield "identity", 0, torch.where(spectra.mask, 0.0, contest.translators[0].identity(x))
    if contest.baseline is not None and some:
        known = contest.baseline
        part = x[:some]
        made = (
            known.convolve(part, spectra)
            if direction == "convolve"
            else known.deconvolve(source, part, spectra)
        )
        yield CLASSICAL[direction], 0, made
    if contest.paired is not None:
        yield "paired", 0, contest.paired(direction, x, spectra)
    for seed, translator in enumerate(contest.translators):
        yield "translated", seed, translator(direction, x, spectra)


def _read(
    contest: Contest, record: Record, reader: str, name: str, x: torch.Tensor, seed: int, mask: torch.Tensor
) -> None:
    """Let the classifiers read an input: that of the seed if it is the seed's own, else all of them."""
    own = name in figures.OWN_INPUTS
    for number in (seed,) if own else range(len(contest.models)):
        model = contest.models[number]
        domain = model.card.target if reader == "target" else "convolved"
        if domain in model.card.classifiers:
            record.answers[reader, name, number].append(correlations(model, domain, x, mask))


def _own_kinds(
    contest: Contest,
    batch: Batch,
    deconvolved: Mapping[int, torch.Tensor],
    record: Record,
    mask: torch.Tensor,
) -> None:
    """Each classifier on its own kind of data, and that of convolved data on the rest."""
    _read(contest, record, "target", "target", batch.target, 0, mask)
    for name in ("convolved", "measured"):
        _read(contest, record, "convolved", name, batch.source(name), 0, mask)
    for seed, made in deconvolved.items():
        _read(contest, record, "convolved", "deconvolved", made, seed, mask)


def _consistency(
    contest: Contest,
    spectra: Spectra,
    record: Record,
    key: tuple[str, str, int],
    made: torch.Tensor,
    x: torch.Tensor,
) -> None:
    if contest.baseline is None:
        return
    again = blur(contest.baseline.operator, made, spectra)
    record.consistency[key].append(_distance(again, x, spectra.mask))


def _floors(contest: Contest, spectra: Spectra, batch: Batch, record: Record, some: int) -> None:
    """The least that can be asked of the consistency: of the truth itself, and the noise of the data."""
    for source in ("convolved", "measured"):
        x = batch.source(source)[:some]
        _consistency(contest, spectra, record, (source, "truth", 0), batch.target[:some], x)
        clean = batch.convolved[:some]
        record.consistency[source, "noise", 0].append(_distance(clean, x, spectra.mask))


def _distance(made: torch.Tensor, x: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
    keep = ~mask
    error, size = ((part * keep).double().flatten(1).norm(dim=1) for part in (made - x, x))
    return np.asarray((error / size.clamp_min(1e-30)).numpy())
