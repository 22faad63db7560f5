"""What a run tells: CSV files, tensorboard where it is installed, and lines and a progress bar on stderr."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path, cannot_write


class Table:
    """A CSV file that grows by rows; columns that appear later are added, the file is always whole.

    Rows past ``step`` are dropped when it is opened, so that a resumed run does not write them twice, and so
    is what a full disk or a crash has left of a row.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "losses.csv"
    >>> Table(path, step=0).add({"step": 1, "loss": 0.5})
    >>> Table(path, step=1).add({"step": 2, "loss": 0.25})
    >>> path.read_text().split()
    ['step,loss', '1,0.5', '2,0.25']
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.is_file():
            self.rows = [row for row in _whole_rows(path) if int(row["step"]) <= step]
            self._rewrite()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row; it must have a ``step``."""
        columns = list(self.rows[0]) if self.rows else []
        self.rows.append(dict(row))
        if list(row) == columns:
            self._append(row, columns)
        else:
            self._rewrite()

    def _append(self, row: Mapping[str, Any], columns: list[str]) -> None:
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, columns, lineterminator="\n").writerow(row)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _rewrite(self) -> None:
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        self.rows = [{key: row.get(key, "") for key in columns} for row in self.rows]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with atomic_path(self.path) as temporary:
            temporary.write_text(text.getvalue(), newline="")


def _whole_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Exp2SimError(
            f"Cannot read {path}: {error.strerror or error}.", fix="Make the file readable, or remove it."
        ) from error
    lines = io.StringIO(text[: text.rfind("\n") + 1], newline="")
    rows: list[dict[str, Any]] = []
    with suppress(csv.Error):
        rows.extend(csv.DictReader(lines))
    return [row for row in rows if str(row.get("step", "")).isdecimal() and None not in (*row, *row.values())]


class Board:
    """Tensorboard scalars, or nothing where tensorboard is not installed or not asked for."""

    def __init__(self, folder: Path, *, step: int, enabled: bool) -> None:
        self._writer: Any = None
        if enabled:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Scalars of one step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


def one_line(values: Mapping[str, float]) -> str:
    """Numbers for people.

    >>> one_line({"loss": 0.123456, "skipped": 0})
    'loss 0.1235  skipped 0'
    """
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
