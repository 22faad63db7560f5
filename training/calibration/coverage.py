"""Count how often the truth lies within the intervals that a model's card promises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.error_model import ErrorModel
from mantid_exp2sim.training.calibration.error_model import (
    CONDITIONS,
    TYPICAL_CONDITIONS,
    Conditions,
    Progress,
    Records,
    half_widths,
    measure,
    open_both,
    spread_over,
)


def coverage(
    bundle: str | Path | Bundle,
    dataset: str | Path,
    *,
    split: str = "test",
    limit: int = 48,
    conditions: Conditions = TYPICAL_CONDITIONS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Count how many measured bins lie within the 68 and the 95 % interval of the card's error model.

    JSON-able: per direction ``overall``, ``conditions`` (clean, with noise, with noise and background),
    ``energies`` (per incident energy), ``bright`` (|I| above a tenth of the largest) and ``members``; each a
    dict with ``68`` and ``95``. ``{"not known": why}`` where the card has no calibration.
    """
    bundle, data = open_both(bundle, dataset)
    indices = spread_over(data.split(split), limit)
    report: dict[str, Any] = {"split": split, "spectra": len(indices)}
    for direction, names in CONDITIONS.items():
        errors = bundle.card.errors.get(direction)
        if errors is None:
            report[direction] = {"not known": "the model's card has no calibration of its errors"}
            continue
        records = measure(bundle, data, direction, indices, conditions, progress=progress)
        report[direction] = covered(errors, records, names, bundle.card.incident_energies)
        report[direction]["members"] = len(bundle.card.keys(direction))
    return report


def covered(
    errors: ErrorModel, records: Records, conditions: tuple[str, ...], energies: tuple[float, ...]
) -> dict[str, Any]:
    """Return the shares of the records within both intervals: overall, and in parts of them."""
    narrow, wide = (records.error <= half for half in half_widths(errors, records))

    def share(rows: npt.NDArray[np.bool_]) -> dict[str, float]:
        return {"68": float(narrow[rows].mean()), "95": float(wide[rows].mean())}

    return {
        "overall": share(np.ones(len(narrow), dtype=bool)),
        "bright": share(records.intensity > 0.1 * records.intensity.max()),
        "conditions": {name: share(records.condition == number) for number, name in enumerate(conditions)},
        "energies": {
            f"{energies[row]:g}": share(records.energy == row) for row in np.unique(records.energy).tolist()
        },
    }


def table(report: Mapping[str, Any]) -> str:
    """Format the coverage as text.

    >>> print(table({"split": "test", "spectra": 3, "convolve": {"not known": "no calibration"}}))
    3 spectra of 'test'
    convolve: not known (no calibration)
    """
    lines = [f"{report['spectra']} spectra of {report['split']!r}"]
    for direction in CONDITIONS:
        part = report.get(direction)
        if part is None:
            continue
        if "overall" not in part:
            lines.append(f"{direction}: not known ({part['not known']})")
            continue
        rows = {"overall": part["overall"], "bright bins": part["bright"], **part["conditions"]}
        rows |= {f"{energy} meV": share for energy, share in part["energies"].items()}
        lines.append(f"{direction}, {part['members']} members{'':14}68 %   95 %")
        lines += [f"  {name:28s}{100 * s['68']:6.1f} {100 * s['95']:6.1f}" for name, s in rows.items()]
    return "\n".join(lines)
