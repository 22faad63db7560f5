"""From what was measured to the figures of the report; all intervals come from the same draws of spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.training.evaluation.baselines import Baseline
from mantid_exp2sim.training.evaluation.bootstrap import closed, interval, share_of
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


def figures(record: Record, seed: int) -> dict[str, Any]:
    """Everything that the record tells."""
    answers = {key: np.concatenate(parts) for key, parts in record.answers.items()}
    label = np.concatenate(record.labels)
    right = {key: (part.argmax(axis=1) == label[: len(part)]).astype(float) for key, part in answers.items()}
    sums: dict[str, dict[str, Sums]] = {}
    for (case, method), parts in record.sums.items():
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        sums.setdefault(case, {})[method] = joined
    consistency: dict[str, dict[str, Any]] = {}
    for (source, method), distances in record.consistency.items():
        consistency.setdefault(source, {})[method] = interval(np.concatenate(distances), seed)
    return {
        "accuracy": {
            f"{reader}:{name}": interval(right[reader, name], seed)
            for reader, (_, names) in READERS.items()
            for name in names
            if (reader, name) in right
        },
        "gap_closed": {
            case: _gap(right, case, seed) for case, reader in GAPS.items() if (reader, reader) in right
        },
        "relative_l2": {
            case: {method: _errors(part, seed) for method, part in methods.items()}
            for case, methods in sums.items()
        },
        "better_than": {case: _better(methods, seed) for case, methods in sums.items()},
        "flux": {case: _flux(methods["translated"], seed) for case, methods in sums.items()},
        "consistency": consistency,
        "calibration": {
            reader: calibration(answers[reader, reader], label)
            for reader in READERS
            if (reader, reader) in answers
        },
    }


def _gap(right: dict[tuple[str, str], NDArray[np.float64]], case: str, seed: int) -> dict[str, Any]:
    """Share of the accuracy gap (ceiling − untranslated) that the model closes."""
    reader = GAPS[case]
    names = (reader, INPUTS[case, "untranslated"], INPUTS[case, "translated"])
    values = np.stack([right[reader, name] for name in names], axis=1)
    return {"gap": float((values[:, 0] - values[:, 1]).mean()), **interval(values, seed, closed)}


def _errors(sums: Sums, seed: int) -> dict[str, Any]:
    mean = interval(relative(sums), seed)
    squares = (sums[name].astype(float).sum(axis=(0, 2)) for name in ("square", "true_square"))
    return {
        "mean": mean.pop("value"),
        **mean,
        "per_incident_energy": [
            float(np.sqrt(error / size)) if size > 0 else None for error, size in zip(*squares, strict=True)
        ],
        "per_panel": per_panel(sums, "relative_l2"),
    }


def _better(methods: dict[str, Sums], seed: int) -> dict[str, Any]:
    """Mean relative L2 over that of another way, on the same spectra, with a paired interval."""
    errors = {method: relative(sums) for method, sums in methods.items()}
    ours = errors.pop("translated")
    return {
        method: interval(np.stack([ours[: len(theirs)], theirs], axis=1), seed, share_of)
        for method, theirs in errors.items()
    }


def _flux(sums: Sums, seed: int) -> dict[str, Any]:
    """Total intensity over the true one: over all, with its interval, and per panel over the whole split."""
    totals = [sums[name].astype(float).sum(axis=(1, 2)) for name in ("flux", "true_flux")]
    whole = interval(np.stack(totals, axis=1), seed, share_of)
    panels = per_panel(sums, "flux")
    ratios = [value for row in panels for value in row if value is not None]
    near = np.array([[value is not None and abs(value - 1) <= 0.05 for value in row] for row in panels])
    true = sums["true_flux"].astype(float).sum(axis=0)
    return {
        "all": whole.pop("value"),
        **whole,
        "per_panel": panels,
        "worst_panel": max(ratios, key=lambda value: abs(value - 1)) if ratios else None,
        "within_5_percent": float(near.sum() / len(ratios)) if ratios else None,
        "intensity_within_5_percent": float(true[near].sum() / max(true.sum(), 1e-30)),
    }
