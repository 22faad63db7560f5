"""Rows of measured figures: every benchmark gives them, prints them, and hands them on as JSON.

from table import Row, finish

rows = [Row("one mosaic", 0.4, "s", reference=2.0, reference_name="plain loop", target="≤ 0.5 s")]
sys.exit(finish(rows))  # a table, or with --json on the command line one JSON list
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: what it is, how large, and beside what it was measured in the same run."""

    name: str
    value: float | None
    unit: str = "s"
    reference: float | None = None
    """The same of what it is compared with, in the same unit."""
    reference_name: str = ""
    ratio: float | None = None
    """How many times better than the reference; ``reference / value`` unless given."""
    target: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def times(self) -> float | None:
        """The ratio to the reference."""
        if self.ratio is not None or self.reference is None:
            return self.ratio
        return self.reference / self.value if self.value else None


def number(value: float | None, unit: str = "") -> str:
    """A number for people: three digits.

    >>> number(0.12345, "s"), number(None), number(40000.0)
    ('0.123 s', '', '40000')
    """
    if value is None:
        return ""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def show(rows: Sequence[Row], title: str = "") -> None:
    """Print a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for heading in ("what", "value", "reference", "ratio", "target", "", "note"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "ratio" else "left")
    for row in rows:
        reference = f"{number(row.reference, row.unit)} {row.reference_name}".strip()
        mark = {None: "", True: "met", False: "[bold]missed[/]"}[row.met]
        table.add_row(
            row.name, number(row.value, row.unit), reference, number(row.times), row.target, mark, row.note
        )
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)


def finish(rows: Sequence[Row], title: str = "") -> int:
    """Print a table, or with ``--json`` on the command line one JSON list; return the exit status.

    It is 1 where a target is missed.
    """
    if "--json" in sys.argv:
        print(json.dumps([asdict(row) | {"ratio": row.times} for row in rows]))
    else:
        show(rows, title)
    return int(any(row.met is False for row in rows))


def rows_of(text: str) -> list[Row]:
    """The rows of another benchmark's output: the last line that is a JSON list."""
    lines = [line for line in text.splitlines() if line.startswith("[")]
    return [Row(**row) for row in json.loads(lines[-1])] if lines else []
