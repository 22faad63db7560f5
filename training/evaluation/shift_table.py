"""The figures of shifts as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mantid_exp2sim.training.evaluation.table import Table, number, percent

HEADER = (
    "shift",
    "error",
    "expected",
    "ratio",
    "trustworthy",
    "refused",
    "68 % intervals hold",
    "right class, raw",
    "deconvolved",
    "wrong above 0.5",
)


def shift_table(report: Mapping[str, Any]) -> Table:
    """Show what `mantid_exp2sim.training.evaluation.shifts.measure_shifts` returned."""
    rows = [
        [
            name,
            number(figures["error"]),
            number(figures["expected"]),
            number(figures["ratio"], 2),
            *(
                percent(figures[key], 0)
                for key in ("trustworthy", "refused", "coverage", "right_raw", "right", "wrong")
            ),
        ]
        for name, figures in report["shifts"].items()
    ]
    return Table(f"{report['model']} under other conditions, {report['spectra']} spectra each", HEADER, rows)
