"""Deconvolve, convolve, check, classify or fit many files from Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mantid_exp2sim.application.batch import SUMMARY, Outcome, Summary, work_through
from mantid_exp2sim.errors import OptionError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.io import ENDINGS, load, save
from mantid_exp2sim.model.bundle import open_bundle
from mantid_exp2sim.model.registry import DEFAULT_MODEL
from mantid_exp2sim.storage.atomic import atomic_path

Command = Literal["deconvolve", "convolve", "check", "classify", "fit"]
COMMANDS: tuple[Command, ...] = ("deconvolve", "convolve", "check", "classify", "fit")


def batch(
    command: Command,
    files: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    jobs: int = 1,
    overwrite: bool = False,
    reading: Mapping[str, Any] | None = None,
    progress: Callable[[Outcome], None] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Do the same to many files, each alone; one bad file stops nobody else.

    Results lie in the folder under the names of their files, `result_ending` says in which format; what is
    said of each file is in its ``summary.csv``. Results that the same model and options have made before are
    left as they are: a batch that was stopped goes on when it is called again.

    Parameters
    ----------
    command
        "deconvolve" and "convolve" write spectra; "check", "classify" and "fit" write JSON.
    files
        What was measured.
    folder
        Where the results go; made if it is missing.
    jobs
        Processes that work at the same time. A script that takes more than one needs
        ``if __name__ == "__main__":`` around the call.
    overwrite
        Replace files that are there, also those of other options.
    reading
        Keyword arguments of `mantid_exp2sim.load`.
    progress
        Called with what became of each file.
    options
        Those of `mantid_exp2sim.deconvolve`, `mantid_exp2sim.convolve`, `Model.check_domain`,
        `Model.classify` or `mantid_exp2sim.fit`; ``model`` is a name or folder, for a fit what is fitted.

    Returns
    -------
    list[Outcome]
        In the order in which they were finished.

    Raises
    ------
    Exp2SimError
        If there is no such command or model, or the folder cannot be written. A bad file does not raise.
    """
    if command not in COMMANDS:
        raise OptionError(
            f"There is no command {command!r}.",
            fix=f"Choose one of {', '.join(COMMANDS)}.",
            option="command",
        )
    place = Path(folder)
    summary = Summary(place / SUMMARY, place, overwrite=overwrite)
    work = _Work(command, options, dict(reading or {}))
    outcomes = []
    settings = {
        "command": command,
        "options": options,
        "reading": reading,
        "model": checksum(command, options),
    }
    for outcome in work_through(
        map(Path, files),
        place,
        work,
        settings=settings,
        ending=lambda path: result_ending(command, path),
        jobs=jobs,
        overwrite=overwrite,
    ):
        outcomes.append(outcome)
        summary.add(outcome)
        if progress is not None:
            progress(outcome)
    summary.write()
    return outcomes


def result_ending(command: Command, path: Path) -> str:
    """Return the ending of a result: the file's own if it can be written with errors, else ``.npz``.

    >>> [result_ending("deconvolve", Path(name)) for name in ("a.nxs", "a.npy", "a.nxspe", "a.d3d")]
    ['.nxs', '.npz', '.npz', '.d3d']
    >>> result_ending("check", Path("a.nxs"))
    '.json'
    """
    if command not in ("deconvolve", "convolve"):
        return ".json"
    suffix = path.suffix.lower()
    return suffix if suffix in ENDINGS and suffix != ".npy" else ".npz"


def checksum(command: Command, options: Mapping[str, Any]) -> str:
    """Return the checksum of the model that a command uses; that of a fit is no trained one."""
    if command == "fit":
        return ""
    return open_bundle(options.get("model") or DEFAULT_MODEL).checksum


@dataclass(frozen=True, slots=True)
class _Work:
    """A command as a function of files that processes can be sent."""

    command: Command
    options: dict[str, Any]
    reading: dict[str, Any] = field(default_factory=dict)

    def __call__(self, path: Path, output: Path, overwrite: bool) -> dict[str, Any]:
        histogram = load(path, **self.reading)
        if self.command in ("deconvolve", "convolve"):
            result = self._translated(histogram)
            save(result, output, overwrite=overwrite)
            return summary_row(result.metadata["history"][-1])
        report = self._report(histogram)
        write_report(report, output)
        return summary_row(report)

    def _translated(self, histogram: Histogram) -> Histogram:
        from mantid_exp2sim.application import deconvolve

        return getattr(deconvolve, self.command)(histogram, **self.options)  # type: ignore[no-any-return]

    def _report(self, histogram: Histogram) -> dict[str, Any]:
        from mantid_exp2sim.application.model import load_model
        from mantid_exp2sim.fitting.fit import fit

        options = dict(self.options)
        model = options.pop("model", None)
        if self.command == "fit":
            return fit(histogram, model, **options).to_dict()
        trained = load_model(model or DEFAULT_MODEL)
        if self.command == "check":
            return trained.check_domain(histogram, **options).to_dict()
        return trained.classify(histogram, **options).to_dict()


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")


_COLUMNS = ("method", "model", "verdict", "p_value", "data_kind", "prediction", "certainty", "sentence")


def summary_row(report: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what belongs into a table from what a command reports.

    >>> summary_row({"model": "mine", "shape": [3], "domain": {"verdict": "trustworthy", "p_value": 0.4}})
    {'model': 'mine', 'verdict': 'trustworthy', 'p_value': 0.4}
    """
    domain = report.get("domain")
    told = {**(domain if isinstance(domain, dict) else {}), **report}
    return {name: told[name] for name in _COLUMNS if isinstance(told.get(name), str | int | float)}
