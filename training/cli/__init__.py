"""The commands that build a model; here ``exp2sim train``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.options import add_command

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

STOPPED = 143
"""Exit status of a run that was stopped by a signal after writing a checkpoint."""


TRAIN_EXAMPLES = """examples:
  exp2sim train training/recipes/classifier-integrated.toml --out runs/classifier-integrated
  exp2sim train training/recipes/translator-mosaic.toml --seed 1 --out runs/translator-mosaic-1
  torchrun --standalone --nproc-per-node 2 -m mantid_exp2sim train training/recipes/dual-gan-2d.toml
"""


def register(subparsers: Subparsers) -> None:
    """Add the training commands."""
    from mantid_exp2sim.training.cli.assess import register_bundle, register_domain, register_evaluate
    from mantid_exp2sim.training.cli.calibrate import register as register_calibrate
    from mantid_exp2sim.training.cli.data import register_data
    from mantid_exp2sim.training.cli.deconvolver import register as register_deconvolver
    from mantid_exp2sim.training.cli.demo import register as register_demo
    from mantid_exp2sim.training.cli.simulate import register_simulate

    register_demo(subparsers)
    register_domain(subparsers)
    register_simulate(subparsers)
    register_data(subparsers)
    register_train(subparsers)
    register_deconvolver(subparsers)
    register_bundle(subparsers)
    register_calibrate(subparsers)
    register_evaluate(subparsers)


def register_train(subparsers: Subparsers) -> None:
    """Add ``train``."""
    train = add_command(
        subparsers,
        "train",
        "train a translator, a classifier or a posterior from a recipe",
        TRAIN_EXAMPLES,
        description="Train the networks of a TOML recipe, stage after stage. Stopped by SIGTERM, a "
        f"checkpoint is written and the exit status is {STOPPED}; the same command goes on as if the run had "
        "never been stopped. Several processes, started by torchrun, share each batch of the recipe.",
    )
    train.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    train.add_argument("--seed", type=int, metavar="N", help="in place of the recipe's")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME of the recipe)"
    )
    train.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    train.add_argument("--tensorboard", action="store_true", help="write files for tensorboard too")
    train.set_defaults(run=run_train)


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Show what the package logs on stderr, a line each, as a command does that takes hours."""
    logger, handler = logging.getLogger("mantid_exp2sim"), logging.StreamHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def run_train(args: argparse.Namespace) -> int:
    """``exp2sim train``: 0 when finished, 143 when stopped."""
    from mantid_exp2sim.training.trainers.run_folder import read_best
    from mantid_exp2sim.training.trainers.train import train
    from mantid_exp2sim.training.trainers.trainer import STOPPED as STATUS_STOPPED

    out: Path = args.out or Path("runs") / args.recipe.stem
    with log_on_stderr():
        status = train(args.recipe, out=out, seed=args.seed, device=args.device, tensorboard=args.tensorboard)
    code = STOPPED if status == STATUS_STOPPED else 0
    if os.environ.get("RANK", "0") != "0":  # the first of several processes speaks for all
        return code
    if args.json:
        print(json.dumps({"status": status, "folder": str(out), "best": read_best(out)}))
    else:
        print(f"{status}: {out}", file=sys.stderr)
    return code
