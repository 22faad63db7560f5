"""``exp2sim calibrate``: how far a model's results are from the truth, measured and put on its card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLES = """examples:
  exp2sim calibrate models/mine data/mine
  exp2sim calibrate models/mine data/mine --only-test --test 100 --json
"""


def register(subparsers: Subparsers) -> None:
    """Add ``calibrate``."""
    parser = subparsers.add_parser(
        "calibrate",
        help="measure a model's own error, put it on its card, and see how often it covers the truth",
        description="Chooses on the validation split how sharp the classifiers are, fits there the errors "
        "of both directions, to clean spectra and to spectra with noise and a background, writes all of it "
        "into the model, and counts on the test split how often the truth lies within the 68 % and the 95 % "
        "interval.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``exp2sim calibrate``."""
    from mantid_exp2sim.cli.output import emit
    from mantid_exp2sim.errors import Exp2SimError
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.simulation.noise import MeasurementNoise
    from mantid_exp2sim.training.calibration.coverage import coverage, table
    from mantid_exp2sim.training.calibration.error_model import Conditions, calibrate
    from mantid_exp2sim.training.calibration.length_scale import sharpen
    from mantid_exp2sim.training.trainers.bundle import held

    for name in ("limit", "test"):
        if getattr(args, name) < 1:
            raise Exp2SimError(f"--{name} is {getattr(args, name)}.", fix="Give a number from 1.")
    for name in ("noise", "background", "seed"):
        if not 0 <= getattr(args, name) < float("inf"):
            raise Exp2SimError(f"--{name} is {getattr(args, name)}.", fix="Give a number from 0.")
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
