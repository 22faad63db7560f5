"""From what was measured to the figures of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.training.evaluation.baselines import Baseline
from mantid_exp2sim.training.evaluation.bootstrap import Bootstrap, closed, share_of
from mantid_exp2sim.training.evaluation.metrics import per_panel, relative
from mantid_exp2sim.training.evaluation.record import INPUTS, Record, Sums
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
GAPS = {
    "deconvolve": ("target", "deconvolve"),
    "deconvolve_measured": ("target", "deconvolve_measured"),
    "convolve": ("convolved", "convolve"),
}


def baseline(found: Baseline | None, unknown: str) -> dict[str, Any]:
    """How the classical baseline was set."""
    if found is None:
        return {"unknown": unknown}
    return {
        source: {"iterations": chosen.iterations, "background_subtracted": chosen.subtract}
        for source, chosen in found.chosen.items()
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
        found = [np.concatenate(self.record.answers[reader, name, s]).argmax(axis=1) for s in seeds]
        return np.stack([one == self.label[: len(one)] for one in found]).astype(float)


def figures(record: Record, seed: int) -> dict[str, Any]:
    """Everything that the record tells."""
    made = Figures(record, seed)
    cases = list(dict.fromkeys(case for case, _, _ in record.sums))
    return {
        "accuracy": _accuracy(made),
        "gap_closed": {case: _gap(made, case, "translated") for case in GAPS if _has(made, case)},
        "gap_closed_by": {
            case: {m: _gap(made, case, m) for m in made.methods(case) if m != "untranslated"}
            for case in GAPS
            if _has(made, case)
        },
        "relative_l2": {case: _errors(made, case, 2) for case in cases},
        "relative_l1": {case: _errors(made, case, 1) for case in cases},
        "better_than": {case: _better(made, case) for case in cases},
        "ssim": {case: _similarity(made, case) for case in cases},
        "flux": {case: _flux(made, case) for case in cases},
        "consistency": _consistency(made),
        "calibration": _calibration(made),
    }


def _joined(parts: list[Sums]) -> Sums:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _accuracy(made: Figures) -> dict[str, Any]:
    found = {}
    for reader, (_, names) in READERS.items():
        for name in names:
            right = made.right(reader, name)
            if right is not None:
                found[f"{reader}:{name}"] = made.mean(right)
    return found


def _has(made: Figures, case: str) -> bool:
    reader = GAPS[case][0]
    return made.right(reader, reader) is not None


def _gap(made: Figures, case: str, method: str) -> dict[str, Any]:
    """Share of the accuracy gap (ceiling − untranslated) that a way closes, on the spectra it saw."""
    reader = GAPS[case][0]
    names = (reader, INPUTS[case, "untranslated"], INPUTS[case, method])
    right = [found for name in names if (found := made.right(reader, name)) is not None]
    count = min(one.shape[1] for one in right)
    values = np.stack([one[:, :count] for one in right], axis=2)
    share = made.draws(*values.shape[:2]).of(values, closed)
    return {"gap": float((values[..., 0] - values[..., 1]).mean()), **share}


def _errors(made: Figures, case: str, power: int) -> dict[str, Any]:
    found = {}
    for method in made.methods(case):
        sums = made.sums(case, method)
        mean = made.mean(np.stack([relative(one, power) for one in sums]))
        together = _joined(sums)
        found[method] = {
            "mean": mean.pop("value"),
            **mean,
            "per_incident_energy": _per_energy(together, power),
            "per_panel": per_panel(together, f"relative_l{power}"),
        }
    return found


def _per_energy(sums: Sums, power: int) -> list[float | None]:
    names = {1: ("absolute", "true_absolute"), 2: ("square", "true_square")}[power]
    error, size = (sums[name].astype(float).sum(axis=(0, 2)) for name in names)
    return [float(e / s) ** (1 / power) if s > 0 else None for e, s in zip(error, size, strict=True)]


def _better(made: Figures, case: str) -> dict[str, Any]:
    """Mean relative L2 over that of another way, on the same spectra, with a paired interval."""
    ours = np.stack([relative(one, 2) for one in made.sums(case, "translated")])
    found = {}
    for method in made.methods(case):
        if method == "translated":
            continue
        theirs = relative(made.sums(case, method)[0], 2)
        part = ours[:, : len(theirs)]
        values = np.stack([part, np.broadcast_to(theirs, part.shape)], axis=2)
        found[method] = made.draws(*values.shape[:2]).of(values, share_of)
    return found


def _similarity(made: Figures, case: str) -> dict[str, Any]:
    found = {}
    for method in made.methods(case):
        sums = made.sums(case, method)
        mean = made.mean(np.stack([np.nanmean(one["ssim"], axis=(1, 2)) for one in sums]))
        found[method] = {
            "mean": mean.pop("value"),
            **mean,
            "per_panel": per_panel(_joined(sums), "ssim"),
        }
    return found


def _flux(made: Figures, case: str) -> dict[str, Any]:
    """Total intensity over the true one: over all, with its interval, and per panel over the whole split."""
    sums = made.sums(case, "translated")
    totals = [
        np.stack([one[name].astype(float).sum(axis=(1, 2)) for name in ("flux", "true_flux")], axis=1)
        for one in sums
    ]
    whole = made.draws(len(sums), len(totals[0])).of(np.stack(totals), share_of)
    joined = _joined(sums)
    panels = per_panel(joined, "flux")
    known = [value for row in panels for value in row if value is not None]
    near = np.array([[value is not None and abs(value - 1) <= 0.05 for value in row] for row in panels])
    true = joined["true_flux"].astype(float).sum(axis=0)
    return {
        "all": whole.pop("value"),
        **whole,
        "per_panel": panels,
        "worst_panel": max(known, key=lambda value: abs(value - 1)) if known else None,
        "within_5_percent": float(near.sum() / len(known)) if known else None,
        "intensity_within_5_percent": float(true[near].sum() / max(true.sum(), 1e-30)),
    }


def _consistency(made: Figures) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    record = made.record.consistency
    for source, method in dict.fromkeys((s, m) for s, m, _ in record):
        seeds = sorted(n for s, m, n in record if (s, m) == (source, method))
        values = np.stack([np.concatenate(record[source, method, n]) for n in seeds])
        found.setdefault(source, {})[method] = made.mean(values)
    return found


def _calibration(made: Figures) -> dict[str, Any]:
    """Of the first model's classifiers on their own kind of data, with the correlations themselves."""
    found = {}
    for reader in READERS:
        if (reader, reader, 0) in made.record.answers:
            values = np.concatenate(made.record.answers[reader, reader, 0])
            found[reader] = {**calibration(values, made.label), "correlations": values}
    return found
