"""From what was measured to the figures of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.training.evaluation.baselines import Baseline
from mantid_exp2sim.training.evaluation.bootstrap import Bootstrap, closed, share_of
from mantid_exp2sim.training.evaluation.comparison import INPUTS, Record
from mantid_exp2sim.training.evaluation.metrics import Sums, per_panel, relative
from mantid_exp2sim.training.trainers.scores import calibration

READERS = {
    "target": (
        "classifier of the target",
        ("target", *(n for (c, _), n in INPUTS.items() if c != "convolve")),
    ),
    "convolved": (
        "classifier of convolved data",
        ("convolved", *(n for (c, _), n in INPUTS.items() if c == "convolve"), "deconvolved", "measured"),
    ),
}
"""Which inputs each classifier reads: its own kind (the ceiling) first."""
GAPS = {"deconvolve": "target", "deconvolve_measured": "target", "convolve": "convolved"}
"""The classifier that reads the results of each case."""


def baseline(classical: Baseline | None, unknown: str) -> dict[str, Any]:
    """How the classical baseline was set."""
    if classical is None:
        return {"unknown": unknown}
    return {
        source: {"iterations": how.iterations, "background_subtracted": how.subtract}
        for source, how in classical.settings.items()
    }


class Figures:
    """The figures of a record; all intervals come from the same draws of seeds and spectra."""

    def __init__(self, record: Record, seed: int) -> None:
        self.record, self.seed = record, seed
        self.label = np.concatenate(record.labels)
        self._draws: dict[tuple[int, int], Bootstrap] = {}

    def draws(self, seeds: int, spectra: int) -> Bootstrap:
        """The draws for values (seeds, spectra)."""
        if (seeds, spectra) not in self._draws:
            self._draws[seeds, spectra] = Bootstrap(seeds, spectra, self.seed)
        return self._draws[seeds, spectra]

    def mean(self, values: NDArray[Any]) -> dict[str, Any]:
        """Mean and interval of values (seeds, spectra)."""
        return self.draws(*values.shape).mean(values)

    def sums(self, case: str, method: str) -> list[Sums]:
        """The sums of every seed, of whole splits."""
        seeds = sorted(s for c, m, s in self.record.sums if (c, m) == (case, method))
        return [_joined(self.record.sums[case, method, s]) for s in seeds]

    def methods(self, case: str) -> list[str]:
        """The ways in which a case was treated."""
        return list(dict.fromkeys(m for c, m, _ in self.record.sums if c == case))

    def right(self, reader: str, name: str) -> NDArray[np.float64] | None:
        """Which answers were right, (seeds, spectra) of 0 and 1; None where there is no such classifier."""
        seeds = sorted(s for r, n, s in self.record.answers if (r, n) == (reader, name))
        if not seeds:
            return None
        answers = [np.concatenate(self.record.answers[reader, name, s]).argmax(axis=1) for s in seeds]
        return np.stack([answer == self.label[: len(answer)] for answer in answers]).astype(float)


def figures(record: Record, seed: int) -> dict[str, Any]:
    """Everything that the record tells."""
    collected = Figures(record, seed)
    cases = list(dict.fromkeys(case for case, _, _ in record.sums))
    return {
        "accuracy": _accuracy(collected),
        "gap_closed": {case: _gap(collected, case) for case in GAPS if _has(collected, case)},
        "relative_l2": {case: _errors(collected, case) for case in cases},
        "better_than": {case: _better(collected, case) for case in cases},
        "flux": {case: _flux(collected, case) for case in cases},
        "consistency": _consistency(collected),
        "calibration": _calibration(collected),
    }


def _joined(parts: list[Sums]) -> Sums:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _accuracy(collected: Figures) -> dict[str, Any]:
    accuracy = {}
    for reader, (_, names) in READERS.items():
        for name in names:
            right = collected.right(reader, name)
            if right is not None:
                accuracy[f"{reader}:{name}"] = collected.mean(right)
    return accuracy


def _has(collected: Figures, case: str) -> bool:
    reader = GAPS[case]
    return collected.right(reader, reader) is not None


def _gap(collected: Figures, case: str) -> dict[str, Any]:
    """Share of the accuracy gap (ceiling − untranslated) that the model closes."""
    reader = GAPS[case]
    names = (reader, INPUTS[case, "untranslated"], INPUTS[case, "translated"])
    right = [hits for name in names if (hits := collected.right(reader, name)) is not None]
    count = min(row.shape[1] for row in right)
    values = np.stack([row[:, :count] for row in right], axis=2)
    share = collected.draws(*values.shape[:2]).of(values, closed)
    return {"gap": float((values[..., 0] - values[..., 1]).mean()), **share}


def _errors(collected: Figures, case: str) -> dict[str, Any]:
    errors = {}
    for method in collected.methods(case):
        sums = collected.sums(case, method)
        mean = collected.mean(np.stack([relative(part) for part in sums]))
        together = _joined(sums)
        squares = (together[name].astype(float).sum(axis=(0, 2)) for name in ("square", "true_square"))
        errors[method] = {
            "mean": mean.pop("value"),
            **mean,
            "per_incident_energy": [
                float(np.sqrt(error / size)) if size > 0 else None
                for error, size in zip(*squares, strict=True)
            ],
            "per_panel": per_panel(together, "relative_l2"),
        }
    return errors


def _better(collected: Figures, case: str) -> dict[str, Any]:
    """Mean relative L2 over that of another way, on the same spectra, with a paired interval."""
    ours = np.stack([relative(part_sums) for part_sums in collected.sums(case, "translated")])
    ratios = {}
    for method in collected.methods(case):
        if method == "translated":
            continue
        theirs = relative(collected.sums(case, method)[0])
        part = ours[:, : len(theirs)]
        values = np.stack([part, np.broadcast_to(theirs, part.shape)], axis=2)
        ratios[method] = collected.draws(*values.shape[:2]).of(values, share_of)
    return ratios


def _flux(collected: Figures, case: str) -> dict[str, Any]:
    """Total intensity over the true one: over all, with its interval, and per panel over the whole split."""
    sums = collected.sums(case, "translated")
    totals = [
        np.stack([part[name].astype(float).sum(axis=(1, 2)) for name in ("flux", "true_flux")], axis=1)
        for part in sums
    ]
    whole = collected.draws(len(sums), len(totals[0])).of(np.stack(totals), share_of)
    joined = _joined(sums)
    panels = per_panel(joined, "flux")
    ratios = [value for row in panels for value in row if value is not None]
    near = np.array([[value is not None and abs(value - 1) <= 0.05 for value in row] for row in panels])
    true = joined["true_flux"].astype(float).sum(axis=0)
    return {
        "all": whole.pop("value"),
        **whole,
        "per_panel": panels,
        "worst_panel": max(ratios, key=lambda value: abs(value - 1)) if ratios else None,
        "within_5_percent": float(near.sum() / len(ratios)) if ratios else None,
        "intensity_within_5_percent": float(true[near].sum() / max(true.sum(), 1e-30)),
    }


def _consistency(collected: Figures) -> dict[str, dict[str, Any]]:
    consistency: dict[str, dict[str, Any]] = {}
    record = collected.record.consistency
    for source, method in dict.fromkeys((s, m) for s, m, _ in record):
        seeds = sorted(n for s, m, n in record if (s, m) == (source, method))
        values = np.stack([np.concatenate(record[source, method, n]) for n in seeds])
        consistency.setdefault(source, {})[method] = collected.mean(values)
    return consistency


def _calibration(collected: Figures) -> dict[str, Any]:
    """Of the first model's classifiers on their own kind of data."""
    answers = collected.record.answers
    return {
        reader: calibration(np.concatenate(answers[reader, reader, 0]), collected.label)
        for reader in READERS
        if (reader, reader, 0) in answers
    }
