"""Who is compared, and what one batch of spectra shows of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import Direction
from mantid_exp2sim.training.datasets.spectra import Batch, Spectra
from mantid_exp2sim.training.evaluation.baselines import Baseline, blur, translated
from mantid_exp2sim.training.evaluation.metrics import Sums, panel_sums
from mantid_exp2sim.training.trainers.scores import correlations

if TYPE_CHECKING:
    import torch

CASES: dict[str, tuple[Direction, str, str]] = {
    "deconvolve": ("deconvolve", "convolved", "target"),
    "deconvolve_measured": ("deconvolve", "measured", "target"),
    "convolve": ("convolve", "target", "convolved"),
}
"""What is translated: direction, source and truth."""
CLASSICAL = {"deconvolve": "richardson_lucy", "convolve": "resolution"}
"""What the known resolution does in each direction."""
OF_CUTS = "_of_cuts"
"""What is added to the name where it is the resolution along the axes that the networks see alone."""
INPUTS = {
    ("deconvolve", "untranslated"): "convolved",
    ("deconvolve", "richardson_lucy"): "richardson_lucy",
    ("deconvolve", "richardson_lucy_of_cuts"): "richardson_lucy_of_cuts",
    ("deconvolve", "translated"): "deconvolved",
    ("deconvolve_measured", "untranslated"): "measured",
    ("deconvolve_measured", "richardson_lucy"): "measured_richardson_lucy",
    ("deconvolve_measured", "richardson_lucy_of_cuts"): "measured_richardson_lucy_of_cuts",
    ("deconvolve_measured", "translated"): "measured_deconvolved",
    ("convolve", "untranslated"): "target",
    ("convolve", "resolution"): "resolution",
    ("convolve", "resolution_of_cuts"): "resolution_of_cuts",
    ("convolve", "translated"): "convolved_again",
}
"""What a classifier reads, by case and by the way of translating."""
OWN_INPUTS = {"deconvolved", "measured_deconvolved", "convolved_again"}
"""Inputs that each seed makes itself."""


@dataclass(slots=True, eq=False)
class Record:
    """What was measured: by name, one list entry per batch, for each seed where that matters.

    ``sums``: (case, method, seed) to `panel_sums`; ``answers``: (reader, input, seed) to correlations
    (n, classes); ``consistency``: (source, method, seed) to ‖R·result − source‖/‖source‖ (n,).
    """

    sums: dict[tuple[str, str, int], list[Sums]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    consistency: dict[tuple[str, str, int], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    example: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared: trainings of the same model (the first one is the model), and the known resolution."""

    models: Sequence[Bundle]
    baseline: Baseline | None
    baseline_of_cuts: Baseline | None = None
    """That of the axes along which the networks slide, where these are not all."""


def measure(contest: Contest, spectra: Spectra, batch: Batch, classical: int, record: Record) -> None:
    """Add what one batch shows to the record; the known resolution treats the first ``classical`` spectra."""
    mask = spectra.mask
    record.labels.append(batch.label)
    deconvolved: dict[int, torch.Tensor] = {}
    some = min(len(batch.label), max(0, classical - batch.first))
    for case, (direction, source, truth) in CASES.items():
        x, true = batch.source(source), batch.source(truth)
        for method, seed, result in _ways(contest, spectra, case, x, some):
            record.sums[case, method, seed].append(panel_sums(result, true[: len(result)], mask))
            reader = "target" if direction == "deconvolve" else "convolved"
            _read(contest, record, reader, INPUTS[case, method], result, seed, mask)
            if direction == "deconvolve" and some:
                _consistency(contest, spectra, record, (source, method, seed), result[:some], x[:some])
            if case == "deconvolve" and method == "translated":
                deconvolved[seed] = result
            if not batch.first and seed == 0:
                record.example.setdefault(source, x[0].numpy())
                record.example[f"{case}:{method}"] = result[0].numpy()
    _own_kinds(contest, batch, deconvolved, record, mask)
    if some:
        _floors(contest, spectra, batch, record, some)


def _ways(
    contest: Contest, spectra: Spectra, case: str, x: torch.Tensor, some: int
) -> Iterator[tuple[str, int, torch.Tensor]]:
    """Every way of translating ``x``: its name, the seed's number, the result (of the first ones alone)."""
    direction, source, _ = CASES[case]
    yield "untranslated", 0, x
    for baseline, name in ((contest.baseline, ""), (contest.baseline_of_cuts, OF_CUTS)):
        if baseline is None or not some:
            continue
        part = x[:some]
        result = (
            baseline.convolve(part, spectra)
            if direction == "convolve"
            else baseline.deconvolve(source, part, spectra)
        )
        yield CLASSICAL[direction] + name, 0, result
    for seed, model in enumerate(contest.models):
        yield "translated", seed, translated(model, direction, x, spectra)


def _read(
    contest: Contest, record: Record, reader: str, name: str, x: torch.Tensor, seed: int, mask: torch.Tensor
) -> None:
    """Let the classifiers read an input: that of the seed if it is the seed's own, else all of them."""
    for number in (seed,) if name in OWN_INPUTS else range(len(contest.models)):
        model = contest.models[number]
        kind = model.card.target if reader == "target" else "convolved"
        if kind in model.card.classifiers:
            record.answers[reader, name, number].append(correlations(model, kind, x, mask))


def _own_kinds(
    contest: Contest,
    batch: Batch,
    deconvolved: Mapping[int, torch.Tensor],
    record: Record,
    mask: torch.Tensor,
) -> None:
    """Each classifier on its own kind of data, and that of convolved data on what remains."""
    _read(contest, record, "target", "target", batch.target, 0, mask)
    for name in ("convolved", "measured"):
        _read(contest, record, "convolved", name, batch.source(name), 0, mask)
    for seed, result in deconvolved.items():
        _read(contest, record, "convolved", "deconvolved", result, seed, mask)


def _consistency(
    contest: Contest,
    spectra: Spectra,
    record: Record,
    key: tuple[str, str, int],
    result: torch.Tensor,
    x: torch.Tensor,
) -> None:
    if contest.baseline is not None:
        again = blur(contest.baseline.operator, result, spectra)
        record.consistency[key].append(_distance(again, x, spectra.mask))


def _floors(contest: Contest, spectra: Spectra, batch: Batch, record: Record, some: int) -> None:
    """The least that can be asked of the consistency: of the truth itself, and the noise of the data."""
    for source in ("convolved", "measured"):
        x = batch.source(source)[:some]
        _consistency(contest, spectra, record, (source, "truth", 0), batch.target[:some], x)
        clean = batch.convolved[:some]
        record.consistency[source, "noise", 0].append(_distance(clean, x, spectra.mask))


def _distance(result: torch.Tensor, x: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
    keep = ~mask
    error, size = ((part * keep).double().flatten(1).norm(dim=1) for part in (result - x, x))
    return np.asarray((error / size.clamp_min(1e-30)).numpy())
