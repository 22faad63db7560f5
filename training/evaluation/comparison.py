"""Who is compared, and what one batch of spectra shows of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
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


@dataclass(slots=True, eq=False)
class Record:
    """What was measured: by name, one list entry per batch.

    ``sums``: (case, method) to `panel_sums`; ``answers``: (reader, input) to correlations (n, classes);
    ``consistency``: (source, method) to ‖R·result − source‖/‖source‖ (n,).
    """

    sums: dict[tuple[str, str], list[Sums]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[tuple[str, str], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    consistency: dict[tuple[str, str], list[NDArray[np.float64]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    example: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared on which spectra: a model and the known resolution."""

    model: Bundle
    spectra: Spectra
    baseline: Baseline | None
    baseline_of_cuts: Baseline | None
    """That of the axes along which the networks slide, where these are not all."""
    classical: int
    """The known resolution treats so many spectra, the first ones."""
    record: Record = field(default_factory=Record)

    def measure(self, batch: Batch) -> None:
        """Add what one batch shows to the record."""
        record = self.record
        record.labels.append(batch.label)
        some = min(len(batch.label), max(0, self.classical - batch.first))
        for case, (direction, source, truth) in CASES.items():
            x, true = batch.source(source), batch.source(truth)
            for method, result in self._ways(case, x, some):
                sums = panel_sums(result, true[: len(result)], self.spectra.mask)
                record.sums[case, method].append(sums)
                reader = "target" if direction == "deconvolve" else "convolved"
                self._read(reader, INPUTS[case, method], result)
                if direction == "deconvolve" and some:
                    self._consistency(source, method, result[:some], x[:some])
                if (case, method) == ("deconvolve", "translated"):
                    self._read("convolved", "deconvolved", result)
                if not batch.first:
                    record.example.setdefault(source, x[0].numpy())
                    record.example[f"{case}:{method}"] = result[0].numpy()
        self._read("target", "target", batch.target)
        for source in ("convolved", "measured"):
            self._read("convolved", source, batch.source(source))
            if some:
                self._floors(source, batch, some)

    def _ways(self, case: str, x: torch.Tensor, some: int) -> Iterator[tuple[str, torch.Tensor]]:
        """Every way of translating ``x``: its name and the result (of the first ones alone)."""
        direction, source, _ = CASES[case]
        yield "untranslated", x
        for baseline, name in ((self.baseline, ""), (self.baseline_of_cuts, OF_CUTS)):
            if baseline is None or not some:
                continue
            part = x[:some]
            result = (
                baseline.convolve(part, self.spectra)
                if direction == "convolve"
                else baseline.deconvolve(source, part, self.spectra)
            )
            yield CLASSICAL[direction] + name, result
        yield "translated", translated(self.model, direction, x, self.spectra)

    def _read(self, reader: str, name: str, x: torch.Tensor) -> None:
        """Let a classifier read an input, where the model has one."""
        card = self.model.card
        kind = card.target if reader == "target" else "convolved"
        if kind in card.classifiers:
            answers = correlations(self.model, kind, x, self.spectra.mask)
            self.record.answers[reader, name].append(answers)

    def _consistency(self, source: str, method: str, result: torch.Tensor, x: torch.Tensor) -> None:
        if self.baseline is not None:
            again = blur(self.baseline.operator, result, self.spectra)
            self.record.consistency[source, method].append(_distance(again, x, self.spectra.mask))

    def _floors(self, source: str, batch: Batch, some: int) -> None:
        """The least that can be asked of the consistency: of the truth itself, and the noise of the data."""
        x, clean = batch.source(source)[:some], batch.convolved[:some]
        self._consistency(source, "truth", batch.target[:some], x)
        self.record.consistency[source, "noise"].append(_distance(clean, x, self.spectra.mask))


def _distance(result: torch.Tensor, x: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
    keep = ~mask
    error, size = ((part * keep).double().flatten(1).norm(dim=1) for part in (result - x, x))
    return np.asarray((error / size.clamp_min(1e-30)).numpy())
