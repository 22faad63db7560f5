"""Deconvolve and classify every MDHistoWorkspace file of a directory, in the Python of Mantid.

    python pipeline.py reduced/ results/ --model pcsmo-maps
    python pipeline.py reduced/ results/ --pattern "MAP*.nxs" --incident-energy 50 --data-kind convolved

Each result appears whole or not at all. Files that are done already (the result is newer) are left out, so a
run that was stopped goes on where it was. One bad file does not stop the others.

Exit status: 0 all done, 1 some files failed, 2 nothing could be started, 130 interrupted.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger("pipeline")
DONE, SOME_FAILED, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run over the directory and return the exit status."""
    args = parser().parse_args(argv)
    if not args.source.is_dir():
        print(f"{args.source} is no directory.", file=sys.stderr)
        return NOT_STARTED
    args.target.mkdir(parents=True, exist_ok=True)
    open_log(args.log or args.target / "pipeline.log")
    try:
        return run(args)
    except KeyboardInterrupt:
        log.error("interrupted")
        return INTERRUPTED
    finally:
        close_log()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("source", type=Path, help="directory of the files that SaveMD wrote")
    command.add_argument("target", type=Path, help="directory of the results; made if it is missing")
    command.add_argument("--pattern", default="*.nxs", help="which files (default *.nxs)")
    command.add_argument(
        "--model", default="", help="name of an installed model, or the folder of another one"
    )
    command.add_argument("--incident-energy", type=float, default=0.0, help="meV, where the files do not say")
    command.add_argument("--data-kind", help="also classify: auto, integrated, centre or convolved")
    command.add_argument("--seed", type=int, default=0, help="seed of the error propagation")
    command.add_argument("--log", type=Path, help="log file (default TARGET/pipeline.log)")
    return command


def open_log(path: Path) -> None:
    """Write the log to a file and to stderr."""
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    for handler in (logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler()):
        handler.setFormatter(form)
        log.addHandler(handler)
    log.setLevel(logging.INFO)


def close_log() -> None:
    """Close the log file."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def run(args: argparse.Namespace) -> int:
    """Process every file; a failure is logged and the next file is taken."""
    try:
        import mantid_exp2sim

        mantid_exp2sim.register_algorithms()
    except (ImportError, ValueError) as error:
        log.error("cannot start: %s", error)
        return NOT_STARTED
    files = sorted(path for path in args.source.glob(args.pattern) if path.is_file())
    if not files:
        log.error("no file matches %s", args.source / args.pattern)
        return NOT_STARTED
    failed = 0
    for number, file in enumerate(files, 1):
        result = args.target / file.name
        if result.exists() and result.stat().st_mtime >= file.stat().st_mtime:
            log.info("%d of %d: %s is done already", number, len(files), file.name)
            continue
        log.info("%d of %d: %s", number, len(files), file.name)
        try:
            process(file, result, args)
        except (RuntimeError, ValueError, OSError) as error:
            failed += 1
            log.error("%s failed: %s", file.name, " ".join(str(error).split()))
    log.info("%d of %d files failed", failed, len(files))
    return SOME_FAILED if failed else DONE


def process(file: Path, result: Path, args: argparse.Namespace) -> None:
    """One file: load, deconvolve, save, classify."""
    from mantid import simpleapi as api

    model = {"ModelFile": args.model} if Path(args.model).is_dir() and args.model else {}
    model = model or ({"Model": args.model} if args.model else {})
    try:
        api.LoadMD(Filename=str(file.resolve()), OutputWorkspace="data")
        if args.data_kind == "convolved":
            note(result, classify(api, args, model))
        api.DeconvolveMD(
            InputWorkspace="data",
            OutputWorkspace="data",
            IncidentEnergy=args.incident_energy,
            Seed=args.seed,
            **model,
        )
        checksum = api.mtd["data"].getHistory().lastAlgorithm().getPropertyValue("ModelChecksum")
        log.info("%s: model %s", file.name, checksum)
        temporary = result.with_name(f".{result.stem}-unfinished.nxs")
        api.SaveMD(InputWorkspace="data", Filename=str(temporary.resolve()))
        if args.data_kind not in (None, "convolved"):
            note(result, classify(api, args, model))
        os.replace(temporary, result)
    finally:
        for name in ("data", "verdict"):
            if name in api.mtd:
                api.DeleteWorkspace(name)
        result.with_name(f".{result.stem}-unfinished.nxs").unlink(missing_ok=True)


def classify(api: Any, args: argparse.Namespace, model: dict[str, str]) -> dict[str, Any]:
    """The row of the table for the workspace as it is now."""
    energies = [repr(args.incident_energy)] if args.incident_energy else []
    api.ClassifySpinWavesMD(
        InputWorkspace="data",
        OutputWorkspace="verdict",
        DataKind=args.data_kind,
        IncidentEnergies=energies,
        **model,
    )
    row: dict[str, Any] = api.mtd["verdict"].row(0)
    return row


def note(result: Path, row: dict[str, Any]) -> None:
    """Add a row to TARGET/verdicts.csv and to the log."""
    table = result.parent / "verdicts.csv"
    row = {"File": result.name, **{key: value for key, value in row.items() if key != "Workspace"}}
    fresh = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    log.info("%s: %s, certainty %.3f", result.name, row["Prediction"], row["Certainty"])


if __name__ == "__main__":
    sys.exit(main())
