"""The commands after a training: ``exp2sim bundle``, ``domain`` and ``evaluate``."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.cli.options import add_command, read_scale, require_numbers
from mantid_exp2sim.cli.output import emit
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import require_own_folder

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.noise import MeasurementNoise

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

BUNDLE_EXAMPLES = """example:
  exp2sim bundle models/mine --translator runs/translator --classifier integrated=runs/integrated \\
      --classifier convolved=runs/convolved --dataset data/mine
  exp2sim bundle models/three --translator runs/translator-1 runs/translator-2 runs/translator-3 \\
      --classifier integrated=runs/integrated-1,runs/integrated-2 --dataset data/mine
  exp2sim bundle posteriors/mine --posterior runs/posterior --dataset data/mine
"""
EVALUATE_EXAMPLES = """examples:
  exp2sim evaluate pcsmo-maps data/pcsmo-maps
  exp2sim evaluate models/mine data/mine --limit 100 --report report/
  exp2sim evaluate pcsmo-maps --shifts --spectra 12 --out runs/shifts
"""
DOMAIN_EXAMPLES = """examples:
  exp2sim domain runs/pcsmo-maps data/pcsmo-maps
  exp2sim domain models/mine data/mine --seed 3 --json
"""


def register_bundle(subparsers: Subparsers) -> None:
    """Add ``bundle``."""
    parser = add_command(
        subparsers,
        "bundle",
        "make a model on disk from finished runs",
        BUNDLE_EXAMPLES,
        description="Put the best networks of finished runs into one folder with a card: a model.",
    )
    parser.add_argument(
        "out", type=Path, metavar="DIR", help="folder of the model; its name is the model's name"
    )
    trained = parser.add_mutually_exclusive_group(required=True)
    trained.add_argument(
        "--translator", type=Path, nargs="+", metavar="RUN", help="several become members of a mean"
    )
    trained.add_argument(
        "--posterior", type=Path, metavar="RUN", help="a posterior, which fits start from, and nothing else"
    )
    parser.add_argument("--classifier", action="append", default=[], metavar="KIND=RUN[,RUN…]")
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="what it was trained on")
    parser.add_argument("--description", default="")
    parser.add_argument("--overwrite", action="store_true", help="replace a model of that name")
    parser.set_defaults(run=run_bundle)


def register_evaluate(subparsers: Subparsers) -> None:
    """Add ``evaluate``."""
    parser = add_command(
        subparsers,
        "evaluate",
        "measure a model on a test set",
        EVALUATE_EXAMPLES,
        description="Accuracy raw, translated and at the ceiling, in both directions; distance to the true "
        "counterpart beside Richardson-Lucy; intensity, data consistency, calibration, response to inputs of "
        "no class, and coverage of the errors.",
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "dataset",
        type=Path,
        nargs="?",
        metavar="DATASET",
        help="folder of the data set (or --shifts)",
    )
    parser.add_argument("--split", default="test", help="default %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N mosaics")
    parser.add_argument(
        "--noise", type=float, default=0.7, metavar="X", help="of measurement-like input (default 0.7)"
    )
    parser.add_argument(
        "--background",
        type=float,
        default=0.7,
        metavar="X",
        help="mean height of its background (default 0.7)",
    )
    parser.add_argument(
        "--classical", type=int, default=200, metavar="N",
        help="Richardson-Lucy and data consistency on N mosaics (default 200)",
    )  # fmt: skip
    parser.add_argument(
        "--foreign", type=int, default=100, metavar="N",
        help="correlations raw and deconvolved of N spectra of each foreign material (default 100)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of noise, background and intervals (default 0)")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="also write index.html and report.json in this folder"
    )
    parser.add_argument("--on-card", action="store_true", help="also write the figures onto the model's card")
    shifts = parser.add_argument_group(
        "other conditions of measurement",
        "With --shifts spectra are simulated anew under named conditions that the training did not have: "
        "error, expected error, verdicts, coverage and classes of each.",
    )
    shifts.add_argument("--shifts", action="store_true", help="measure these, beside a DATASET or alone")
    shifts.add_argument(
        "--spectra", type=int, default=40, metavar="N", help="under each shift (default %(default)s)"
    )
    shifts.add_argument(
        "--intervals", type=int, default=4, metavar="N", help="of these with error bars (default %(default)s)"
    )
    shifts.add_argument(
        "--scale", type=read_scale, default=1.0, metavar="X", help="as of deconvolve: a factor, or auto"
    )
    shifts.add_argument("--mask", type=Path, metavar="FILE", help="mask of a real mosaic (.npy or .mat)")
    shifts.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write shifts.json here; finished shifts are not repeated",
    )
    parser.set_defaults(run=run_evaluate)


def run_bundle(args: argparse.Namespace) -> int:
    """``exp2sim bundle``."""
    from mantid_exp2sim.training.trainers.bundle import make_bundle, make_posterior

    common: dict[str, Any] = {
        "dataset": args.dataset,
        "description": args.description,
        "overwrite": args.overwrite,
    }
    if args.posterior is not None:
        if args.classifier:
            raise Exp2SimError(
                "A posterior has no classifiers.", fix="Leave --classifier out, or name a --translator."
            )
        name = make_posterior(args.out, run=args.posterior, **common).name
        emit(args, {"posterior": name, "folder": str(args.out)}, f"{name}: {args.out}")
        return 0
    classifiers = {}
    for item in args.classifier:
        kind, sign, run = item.partition("=")
        if not sign:
            raise Exp2SimError(
                f"--classifier is {item!r}.",
                reason="It takes the kind of data and the runs that were trained on it.",
                fix="Write it as KIND=RUN[,RUN…], such as integrated=runs/integrated.",
            )
        classifiers[kind] = [Path(member) for member in run.split(",")]
    card = make_bundle(
        args.out,
        name=args.out.name,
        translators=args.translator,
        classifiers=classifiers,
        **common,
    )
    size = sum(weight.size for weight in card.weights.values())
    emit(
        args,
        {"model": card.name, "folder": str(args.out), "bytes": size},
        f"{card.name}: {size / 1e6:.1f} MB",
    )
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """``exp2sim evaluate``."""
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.simulation.noise import MeasurementNoise
    from mantid_exp2sim.training.datasets.pairs import open_pairs
    from mantid_exp2sim.training.evaluation import Settings, evaluate, tables, write_report
    from mantid_exp2sim.training.evaluation.report import REPORT
    from mantid_exp2sim.training.trainers.bundle import add_metrics, held

    if args.report is not None:
        require_own_folder(args.report, REPORT)
    require_numbers(args, 0, "limit", "classical", "foreign", "noise", "background", "seed", "intervals")
    require_numbers(args, 1, "spectra")
    noise = MeasurementNoise(counting=(args.noise, args.noise), background=args.background)
    if args.dataset is None:
        return _run_shifts_alone(args, noise)
    settings = Settings(
        split=args.split,
        limit=args.limit,
        noise=noise,
        seed=args.seed,
        classical=args.classical,
        foreign=args.foreign,
    )
    with held(open_bundle(args.model).folder) if args.on_card else nullcontext():
        report, example = evaluate(
            args.model,
            args.dataset,
            settings=settings,
            progress=lambda text: print(text, file=sys.stderr, flush=True),
        )
        if args.shifts:
            report["shifts"] = _measure_shifts(args, noise)
        if args.report is not None:
            write_report(args.report, report, example, open_pairs(args.dataset).mask)
        if args.on_card:
            add_metrics(open_bundle(args.model).folder, report)
    emit(args, report, tables(report))
    return 0


def _run_shifts_alone(args: argparse.Namespace, noise: MeasurementNoise) -> int:
    from mantid_exp2sim.training.evaluation.shift_table import shift_table

    if not args.shifts or args.report is not None or args.on_card:
        raise Exp2SimError(
            "No data set is given.",
            reason="A model, and all of a report, is measured on the test spectra of one.",
            fix="Name its folder, or give --shifts alone; --out DIR keeps its figures.",
        )
    report = _measure_shifts(args, noise)
    emit(args, report, shift_table(report).markdown())
    return 0


def _measure_shifts(args: argparse.Namespace, noise: MeasurementNoise) -> dict[str, Any]:
    from mantid_exp2sim.io.masks import read_mosaic_mask
    from mantid_exp2sim.training.evaluation.shifts import ShiftSettings, measure_shifts

    return measure_shifts(
        args.model,
        settings=ShiftSettings(args.spectra, args.intervals, noise, args.seed, args.scale),
        mask=None if args.mask is None else read_mosaic_mask(args.mask),
        folder=args.out,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def register_domain(subparsers: Subparsers) -> None:
    """Add ``domain``."""
    parser = add_command(
        subparsers,
        "domain",
        "calibrate a model's domain check on its data set",
        DOMAIN_EXAMPLES,
        description="Write the reference of the domain check into a model's folder and thresholds onto its "
        "card: features of the training split, scales and calibration from halves of the validation split.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model; its card is written anew")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of what it was trained on")
    parser.add_argument("--seed", type=int, default=0, help="of noise, points and ties (default 0)")
    parser.add_argument(
        "--foretell",
        type=int,
        default=0,
        metavar="N",
        help="also fit the expected error, on N spectra simulated under conditions of measurement that are "
        "drawn at random (built-in classes alone; about 3 s each)",
    )
    parser.set_defaults(run=run_domain)


def run_domain(args: argparse.Namespace) -> int:
    """``exp2sim domain``."""
    from mantid_exp2sim.model.bundle import open_bundle
    from mantid_exp2sim.training.calibration.domain_reference import add_domain
    from mantid_exp2sim.training.calibration.spectra import Settings
    from mantid_exp2sim.training.trainers.bundle import held

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    require_numbers(args, 0, "foretell", "seed")
    with held(open_bundle(args.model).folder):
        model = open_bundle(args.model)
        settings = Settings.of(model.card, seed=args.seed)
        card = add_domain(model, args.dataset, settings=settings, say=say)
        if args.foretell:
            from mantid_exp2sim.training.evaluation.foretell import fit_expected_errors

            model = open_bundle(args.model)
            card = fit_expected_errors(model, spectra=args.foretell, seed=args.seed, say=say)
    assert card.domain is not None
    limits: dict[str, Any] = {name: entry.model_dump() for name, entry in card.domain.directions.items()}
    if card.domain.cuts is not None:
        cuts = card.domain.cuts.directions
        limits |= {f"single cuts, {name}": entry.model_dump() for name, entry in cuts.items()}
    report = {"model": card.name, "bytes": card.domain.file.size, "directions": limits}
    lines = [
        f"{card.name}: {name}: {entry['calibration']} calibration spectra, untrustworthy beyond "
        f"{entry['limit']:.2f} times their largest score"
        for name, entry in limits.items()
    ]
    emit(args, report, "\n".join(lines))
    return 0
