"""Many files for one command: ``FILE… --out-dir DIR``, or all that come into a folder: ``--watch DIR``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.cli.output import emit
from mantid_exp2sim.cli.parser import UsageError
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.application.batch import Outcome

SOME_FAILED = 1
"""Exit status of a batch of which some files failed."""
MANY = """
  exp2sim {0} reduced/*.nxs --out-dir results --jobs 4
  exp2sim {0} --watch reduced --pattern "MAP*.nxs" --out-dir results"""
"""Examples of batches, for the help of a command."""
_READ = (".nxs", ".sqw", ".d1d", ".d2d", ".d3d", ".d4d", ".mat", ".nxspe", ".npy", ".npz")
_OF_ONE_FILE = ("plot", "uncertainty_out", "removed", "residual", "out")
_NOT_OF_A_RESULT = {
    *("files", "out_dir", "watch", "pattern", "every", "jobs", "summary", "json", "overwrite"),
    *("run", "single", "places", "parts", "as_one"),
}


def add_files(
    parser: argparse.ArgumentParser, command: str, places: Sequence[str], run: Callable[..., int], about: str
) -> None:
    """Add the files of a command, which ``run`` does for one of them.

    ``places`` are the attributes that the files become for ``run``, in order; one in the plural takes all.
    """
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help=f"{about}; with --out-dir as many as you like"
    )
    group = parser.add_argument_group(
        "many files", "each alone: one bad file stops nobody else, and the same command goes on where it was"
    )
    group.add_argument(
        "--out-dir", type=Path, metavar="DIR", help="folder of the results, named as the files"
    )
    group.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")
    group.add_argument("--summary", type=Path, metavar="CSV", help="table (default: summary.csv in DIR)")
    group.add_argument(
        "--watch", type=Path, metavar="DIR", help="also take all files that come into a folder, until Ctrl-C"
    )
    group.add_argument("--pattern", default="*", help="which of them (default: all that can be read)")
    group.add_argument(
        "--every", type=float, default=5.0, metavar="S", help="look after S seconds; a file that has not "
        "changed since is whole (default %(default)g)",
    )  # fmt: skip
    if places[0] == "input":
        parser.add_argument(
            "--as-one", action="store_true", help="the files are one measurement: a volume at each of the "
            "model's incident energies",
        )  # fmt: skip
    parser.usage = _usage(command, places)
    parser.set_defaults(run=run_files, single=run, command=command, places=tuple(places), parts=None)


def _names(places: Sequence[str]) -> str:
    return " ".join({"input": "IN", "output": "OUT"}.get(place, "IN ...") for place in places)


def _usage(command: str, places: Sequence[str]) -> str:
    """How a command is written for one file, and for many."""
    start = f"exp2sim {command} [options]"
    return f"{start} {_names(places)}\n       {start} FILE ... --out-dir DIR"


def run_files(args: argparse.Namespace) -> int:
    """Run a command for one file, or for many."""
    if args.out_dir is not None:
        return _run_batch(args)
    if getattr(args, "as_one", False):
        _join_files(args)
    if args.watch is not None:
        raise Exp2SimError("--watch needs a place for the results.", fix="Say --out-dir DIR.")
    places = args.places
    if places[0].endswith("s"):
        setattr(args, places[0], args.files)
        if args.files:
            return int(args.single(args))
    if len(args.files) != len(places):
        names = _names(places)
        raise UsageError(
            f"exp2sim {args.command} takes {' and '.join(names.split())}, and got {len(args.files)}.",
            fix="Give these, or --out-dir DIR for many files.",
            usage=f"usage: {_usage(args.command, places)}\n",
        )
    for place, file in zip(places, args.files, strict=True):
        setattr(args, place, file)
    return int(args.single(args))


def _join_files(args: argparse.Namespace) -> None:
    """Put the files of one measurement into the place of one."""
    count = len(args.files) - len(args.places) + 1
    if count > 0:
        args.parts = args.files[:count]
        args.files = [" + ".join(args.parts), *args.files[count:]]


def _run_batch(args: argparse.Namespace) -> int:
    from mantid_exp2sim.application.batch import SUMMARY, Summary, counts, work_through
    from mantid_exp2sim.application.many_files import checksum, result_ending

    _check(args)
    summary = Summary(args.summary or args.out_dir / SUMMARY, args.out_dir, overwrite=args.overwrite)
    settings = {name: value for name, value in vars(args).items() if name not in _NOT_OF_A_RESULT}
    outcomes = work_through(
        _inputs(args),
        args.out_dir,
        _OnFile(args),
        settings={**settings, "checksum": checksum(args.command, settings)},
        ending=lambda path: "" if args.command == "fit" else result_ending(args.command, path),
        jobs=args.jobs,
        overwrite=args.overwrite,
    )
    try:
        for number, outcome in enumerate(outcomes, 1):
            summary.add(outcome)
            _tell(outcome, f"{number}" if args.watch else f"{number} of {len(args.files)}")
    except KeyboardInterrupt:
        outcomes.close()
        if args.watch is None:
            raise
    finally:
        if summary.rows:
            summary.write()
    rows = list(summary.rows.values())
    count = counts(rows)
    report = {"command": args.command, "out_dir": str(args.out_dir), "summary": str(summary.path), **count}
    emit(args, {**report, "files": rows}, _text(report))
    return SOME_FAILED if count["failed"] else 0


def _check(args: argparse.Namespace) -> None:
    if getattr(args, "as_one", False):
        raise Exp2SimError("--as-one and --out-dir exclude each other.", fix="Leave one out.")
    for name in _OF_ONE_FILE:
        if getattr(args, name, None) is not None:
            raise Exp2SimError(
                f"--{name.replace('_', '-')} names one file, and --out-dir is for many.", fix="Leave one out."
            )
    if args.watch is not None and not args.watch.is_dir():
        raise Exp2SimError(f"There is no folder {args.watch} to watch.", fix="Create it, or check its name.")
    if not args.files and args.watch is None:
        raise Exp2SimError("There are no files.", fix="Name some, or --watch a folder.")
    if not args.every > 0:
        raise Exp2SimError(f"--every is {args.every:g}.", fix="Give a positive number of seconds.")


def _inputs(args: argparse.Namespace) -> Iterator[Path | None]:
    yield from map(Path, args.files)
    if args.watch is not None:
        yield from whole_files(args.watch, args.pattern, args.every)


def whole_files(
    folder: Path, pattern: str, every: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Path | None]:
    """Give files that come into a folder, each once it has not changed for a while, and again if it changes.

    None says that all that is there has been given.
    """
    before: dict[Path, tuple[int, int]] = {}
    handed_out: dict[Path, tuple[int, int]] = {}
    while True:
        now = dict(_states(folder.glob(pattern)))
        for path in sorted(now):
            if before.get(path) == now[path] != handed_out.get(path):
                handed_out[path] = now[path]
                yield path
        before = now
        yield None
        sleep(every)


def _states(paths: Iterable[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Size and time of the files that can be data."""
    for path in paths:
        if path.suffix.lower() in _READ and not path.name.startswith("."):
            try:
                about = path.stat()
            except OSError:  # it has gone again
                continue
            yield path, (about.st_size, about.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _OnFile:
    """A command as a function of files that processes can be sent."""

    args: argparse.Namespace

    def __call__(self, path: Path, output: Path, overwrite: bool) -> dict[str, Any]:
        from mantid_exp2sim.application.many_files import summary_row, write_report
        from mantid_exp2sim.cli.output import plain

        args = argparse.Namespace(**vars(self.args))
        args.out_dir, args.watch, args.json, args.overwrite, args.reports = None, None, True, overwrite, []
        args.files = [str(path), str(output)][: len(args.places)]
        if args.command == "fit":
            args.out = output
        messages = StringIO()
        with redirect_stderr(messages):
            run_files(args)
        report = plain(args.reports[0])
        if output.suffix == ".json":
            write_report(report, output)
        return {**summary_row(report), "messages": "; ".join(messages.getvalue().splitlines())}


def _tell(outcome: Outcome, number: str) -> None:
    """Say on stderr what became of a file."""
    words = [
        outcome.status,
        *(str(outcome.row[key]) for key in ("prediction", "verdict") if key in outcome.row),
    ]
    if outcome.status == "skipped":
        words = ["done before by the same model and options"]
    text = f"{number}: {outcome.input.name}: {', '.join(words)}"
    if outcome.error:
        text += f": {' '.join(filter(None, (outcome.error, outcome.reason, outcome.fix)))}"
    print(text, file=sys.stderr, flush=True)


def _text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['done']} done, {report['skipped']} skipped, {report['failed']} failed: {report['summary']}"
    ]
    if report["skipped"]:
        lines.append("Skipped are those that the same model and options had done before.")
    if report["failed"]:
        lines.append(
            "What to do about those that failed is in the column fix; the same command tries them again."
        )
    return "\n".join(lines)
