"""The commands that build a model: ``exp2sim train gan|duq``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

STOPPED = 143
"""Exit status of a run that was stopped by a signal after writing a checkpoint."""


TRAIN_EXAMPLES = """examples:
  exp2sim train duq training/recipes/duq-integrated.toml --out runs/duq-integrated
  exp2sim train gan training/recipes/gan-volumes.toml --resume
  torchrun --standalone --nproc-per-node 2 -m mantid_exp2sim train gan training/recipes/gan-paper.toml
"""


def register(subparsers: Subparsers) -> None:
    """Add the training commands."""
    from mantid_exp2sim.training.cli.assess import register_bundle, register_domain, register_evaluate
    from mantid_exp2sim.training.cli.calibrate import register as register_calibrate
    from mantid_exp2sim.training.cli.data import register_data
    from mantid_exp2sim.training.cli.demo import register as register_demo
    from mantid_exp2sim.training.cli.simulate import register_simulate

    register_demo(subparsers)
    register_domain(subparsers)
    register_simulate(subparsers)
    register_data(subparsers)
    register_train(subparsers)
    register_bundle(subparsers)
    register_calibrate(subparsers)
    register_evaluate(subparsers)


def register_train(subparsers: Subparsers) -> None:
    """Add ``train``."""
    train = subparsers.add_parser(
        "train",
        help="train the dual GAN or a DUQ classifier from a recipe",
        description="Train the networks of a TOML recipe. Stopped by SIGTERM, a checkpoint is written and "
        f"the exit status is {STOPPED}; --resume continues as if the run had never been stopped. Several "
        "processes, started by torchrun, share each batch of the recipe.",
        epilog=TRAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("what", choices=("gan", "duq"), help="the dual GAN, or a classifier")
    train.add_argument("config", type=Path, metavar="CONFIG.toml", help="the recipe")
    train.add_argument("--seed", type=int, metavar="N", help="in place of the recipe's")
    train.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME of the recipe)"
    )
    train.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    train.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> int:
    """``exp2sim train``: 0 when finished, 143 when stopped."""
    from mantid_exp2sim.training.trainers.runs import train_duq, train_gan
    from mantid_exp2sim.training.trainers.trainer import STOPPED as STATUS_STOPPED

    out: Path = args.out or Path("runs") / args.config.stem
    train = train_gan if args.what == "gan" else train_duq
    status = train(args.config, out=out, resume=args.resume, seed=args.seed)
    code = STOPPED if status == STATUS_STOPPED else 0
    if os.environ.get("RANK", "0") != "0":  # the first of several processes speaks for all
        return code
    best = (
        json.loads((out / "best" / "best.json").read_text()) if (out / "best" / "best.json").is_file() else {}
    )
    if args.json:
        print(json.dumps({"status": status, "folder": str(out), "best": best}))
    else:
        print(f"{status}: {out}", file=sys.stderr)
    return code
