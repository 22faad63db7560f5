"""``exp2sim calibrate``: how far a model's results are from the truth, measured and put on its card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.options import add_command, require_numbers
from mantid_exp2sim.cli.output import emit

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLES = """examples:
  exp2sim calibrate models/mine data/mine
  exp2sim calibrate models/mine data/mine --only-test --test 100 --json
"""


def register(subparsers: Subparsers) -> None:
    """Add ``calibrate``."""
    parser = add_command(
        subparsers,
        "calibrate",
        "measure a model's own error, put it on its card, and see how often it covers the truth",
        EXAMPLES,
        description="Chooses on the validation split how sharp the classifiers are, fits there the errors "
        "of both directions, to clean spectra and to spectra with noise and a background, writes all of it "
        "into the model, and counts on the test split how often the truth lies within the 68 % and the 95 % "
        "interval.",
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the data set")
    parser.add_argument("--limit", type=int, default=48, metavar="N", help="spectra fitted (default 48)")
    parser.add_argument("--test", type=int, default=48, metavar="N", help="spectra tested (default 48)")
    parser.add_argument("--only-test", action="store_true", help="leave the card as it is")
    parser.add_argument("--noise", type=float, default=0.7, metavar="X", help="variance / I (default 0.7)")
    parser.add_argument(
        "--background", type=float, default=0.7, metavar="X", help="mean height of a background (default 0.7)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and background (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``exp2sim calibrate``."""
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.simulation.noise import MeasurementNoise
    from mantid_exp2sim.training.calibration.coverage import coverage, table
    from mantid_exp2sim.training.calibration.error_model import Conditions, calibrate
    from mantid_exp2sim.training.calibration.length_scale import sharpen
    from mantid_exp2sim.training.trainers.bundle import held

    require_numbers(args, 1, "limit", "test")
    require_numbers(args, 0, "noise", "background", "seed")
    folder = open_bundle(args.model).folder
    conditions = Conditions(
        noise=MeasurementNoise(counting=(args.noise, args.noise), background=args.background), seed=args.seed
    )

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if not args.only_test:
        with held(folder):
            sharpen(folder, args.dataset, conditions=conditions, progress=say)
            calibrate(folder, args.dataset, limit=args.limit, conditions=conditions, progress=say)
    report = coverage(folder, args.dataset, limit=args.test, conditions=conditions, progress=say)
    emit(args, report, table(report))
    return 0
