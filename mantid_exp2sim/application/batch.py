"""Work through many files: a bad file stops no other, and a second run goes on where the first was stopped.

A journal in the folder of the results says, before and after each file, what it is made of. So only whole
results are in the folder, those that the same model and options have made are skipped, and no file of
somebody else is replaced.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim.application.processes import Pool
from mantid_exp2sim.errors import Cancelled, Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path, require_place, sweep
from mantid_exp2sim.storage.locks import locked

JOURNAL = "batch.jsonl"
SUMMARY = "summary.csv"
Status = Literal["done", "skipped", "failed"]
Work = Callable[[Path, Path, bool], Mapping[str, Any]]
"""Make of an input (first) a result at a place (second), which may be replaced (third); return its row."""
_SECONDS_BETWEEN_SUMMARIES = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    ``row`` holds what there is to say in a table, such as ``verdict`` and ``p_value``; ``error``, ``reason``
    and ``fix`` say what went wrong. ``skipped``: done before, by the same model and options.
    """

    input: Path
    output: Path
    status: Status
    row: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    reason: str = ""
    fix: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a row of the summary."""
        place = {"file": str(self.input), "status": self.status, "output": str(self.output)}
        trouble = {"error": self.error, "reason": self.reason, "fix": self.fix}
        return {**place, **self.row, **trouble, "seconds": round(self.seconds, 3)}


class Journal:
    """What the results of a folder are made of, as lines of JSON; the last one about a result counts."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.entries: dict[str, dict[str, Any]] = {}
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
                self.entries[entry["output"]] = entry
            except (ValueError, TypeError, KeyError):  # half a line, of a run that was killed
                continue

    def write(self, output: str, **content: Any) -> None:
        """Append a line about a result."""
        entry = {"output": output, **content}
        self.entries[output] = entry
        with self.path.open("ab") as file:
            file.write(b"\n" if _is_torn(self.path) else b"")
            file.write(json.dumps(entry).encode() + b"\n")


def _is_torn(path: Path) -> bool:
    """Whether the last line of a file has no end."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"


@dataclass(frozen=True, slots=True)
class _Task:
    """A file, the place of its result, whether that may be replaced, and what the result is made of."""

    input: Path
    output: Path
    overwrite: bool
    made_of: dict[str, Any]


def work_through(
    inputs: Iterable[Path | None],
    folder: Path,
    work: Work,
    *,
    settings: Mapping[str, Any],
    ending: Callable[[Path], str],
    jobs: int = 1,
    overwrite: bool = False,
) -> Generator[Outcome, None, None]:
    """Do the work for each file, and give what became of it as soon as it is known.

    Parameters
    ----------
    inputs
        Files; None, from one who waits for more of them, means that there is nothing new now.
    folder
        Where results go; made if it is missing.
    work
        What is done to a file. With ``jobs`` above 1 it must be a function that processes can be sent.
    settings
        All that a result depends on beside its file, as JSON: the checksum of the model, the options.
    ending
        The ending of the result of a file; empty for a folder.
    jobs
        Processes that work at the same time.
    overwrite
        Replace files that are there. Without it a result of other settings, or a file of somebody else, is
        left as it is and the file counts as failed.

    Raises
    ------
    Exp2SimError
        If the folder cannot be written, or another batch works in it.
    """
    if jobs < 1:
        raise Exp2SimError(f"The number of jobs is {jobs}.", fix="Give a whole number from 1.")
    with locked(folder, "batch"):
        sweep(folder)
        planner = _Planner(folder, Journal(folder), _digest(settings), ending, overwrite)
        pool = Pool(jobs)
        with closing(_outcomes(inputs, planner, work, pool)) as outcomes, pool:
            yield from outcomes


def _outcomes(
    inputs: Iterable[Path | None], planner: _Planner, work: Work, pool: Pool
) -> Generator[Outcome, None, None]:
    tasks: dict[Path, _Task] = {}
    for path in inputs:
        plan = None if path is None else planner.plan(Path(path))
        if isinstance(plan, Outcome):
            yield plan
        elif plan is not None:
            tasks[plan.input] = plan
            pool.submit(plan.input, _attempt, work, plan.input, plan.output, plan.overwrite)
        for place, result in pool.finished(is_full=plan is not None):
            yield planner.close(tasks.pop(place), result)
    for place, result in pool.drain():
        yield planner.close(tasks.pop(place), result)


class _Planner:
    """Say for each file whether there is something to do, and keep the journal."""

    def __init__(
        self, folder: Path, journal: Journal, settings: str, ending: Callable[[Path], str], overwrite: bool
    ) -> None:
        self.folder, self.journal, self.settings = folder, journal, settings
        self.ending, self.overwrite = ending, overwrite
        self.sources: dict[Path, Path] = {}

    def plan(self, path: Path) -> Outcome | _Task:
        """Return the task of a file, or what is to be said of it without any work."""
        output = self.folder / f"{path.stem}{self.ending(path)}"
        source = path.expanduser().resolve()
        if output.resolve() == source or self.sources.setdefault(output, source) != source:
            return Outcome(
                path, output, "failed", error=f"{output} is an input itself, or the result of another.",
                reason="Results are named after their files.",
                fix="Choose another --out-dir, or give the files different names.",
            )  # fmt: skip
        made_of = {"source": str(source), "data": _state(source), "settings": self.settings}
        entry = self.journal.entries.get(output.name)
        is_done = entry is not None and entry.get("state") == "done" and output.exists()
        if entry is not None and is_done and made_of.items() <= entry.items() and not self.overwrite:
            return Outcome(path, output, "skipped", row=entry.get("row", {}))
        is_mine = entry is not None and entry.get("settings") == self.settings
        if output.exists() and not (self.overwrite or (is_mine and entry["source"] == str(source))):  # type: ignore[index]
            whose = "was made by another model or with other options" if entry else "is there already"
            return Outcome(
                path, output, "failed", error=f"{output} {whose}.",
                reason="Nothing is replaced unless you say so.",
                fix="Choose another --out-dir, or say --overwrite (in Python overwrite=True).",
            )  # fmt: skip
        self.journal.write(output.name, state="begun", **made_of)
        return _Task(path, output, output.exists(), made_of)

    def close(self, task: _Task, result: Outcome | Exception) -> Outcome:
        """Put the outcome of a task into the journal."""
        if not isinstance(result, Outcome):
            result = _failure(task.input, task.output, result)
        if result.status == "done":
            self.journal.write(task.output.name, state="done", row=dict(result.row), **task.made_of)
        return result


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _state(path: Path) -> list[int]:
    """Size and time of a file, which change with it; empty where there is none."""
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]


def _attempt(work: Work, path: Path, output: Path, overwrite: bool) -> Outcome:
    """Do the work for a file, whatever comes of it."""
    start = time.perf_counter()
    try:
        row = work(path, output, overwrite)
    except Cancelled:
        raise
    except Exception as error:
        return replace(_failure(path, output, error), seconds=time.perf_counter() - start)
    return Outcome(path, output, "done", row=row, seconds=time.perf_counter() - start)


def _failure(path: Path, output: Path, error: Exception) -> Outcome:
    if isinstance(error, Exp2SimError):
        return Outcome(path, output, "failed", error=error.summary, reason=error.reason, fix=error.fix)
    if isinstance(error, MemoryError):
        return Outcome(
            path,
            output,
            "failed",
            error="There is not enough memory.",
            fix="Take fewer --jobs, or less data.",
        )
    text = f"{type(error).__name__}: {error}".strip()
    return Outcome(path, output, "failed", error=text, fix="Look at the file, and try it alone.")


class Summary:
    """The table of a batch in ``folder``: a file that is always whole, replaced only if a batch wrote it."""

    def __init__(self, path: Path, folder: Path, *, overwrite: bool = False) -> None:
        self.path, self.folder = path.expanduser().resolve(), folder
        self.rows: dict[str, dict[str, Any]] = {}
        self._mark = f"summary {self.path}"
        self._is_marked = self._mark in Journal(folder).entries
        self._last = -_SECONDS_BETWEEN_SUMMARIES
        if self.path.parent.is_dir() or self.path.parent != folder.expanduser().resolve():
            require_place(self.path, overwrite=overwrite or self._is_marked)

    def add(self, outcome: Outcome) -> None:
        """Add a row; the file is written at most once a second."""
        self.rows[str(outcome.input)] = outcome.to_dict()
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_SUMMARIES:
            self.write()

    def write(self) -> None:
        """Write the table."""
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows.values())
        if not self._is_marked:
            Journal(self.folder).write(self._mark)
            self._is_marked = True
        with atomic_path(self.path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
        self._last = time.monotonic()


def counts(outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Count the rows of each status.

    >>> counts([{"status": "done"}, {"status": "failed"}, {"status": "done"}])
    {'done': 2, 'skipped': 0, 'failed': 1}
    """
    return {
        status: sum(row["status"] == status for row in outcomes) for status in ("done", "skipped", "failed")
    }
