"""``exp2sim train-deconvolver``: the network for any material."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.options import add_command
from mantid_exp2sim.cli.output import emit

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLES = """examples:
  exp2sim train-deconvolver training/recipes/chopper-any.toml --out runs/chopper-any
  exp2sim train-deconvolver training/recipes/chopper-any.toml --seconds 600 --json
"""


def register(subparsers: Subparsers) -> None:
    """Add ``train-deconvolver``."""
    parser = add_command(
        subparsers,
        "train-deconvolver",
        "train the deconvolver for any material",
        EXAMPLES,
        description="Train the unrolled deconvolver on made-up magnets, instruments and bins, for the time "
        "that the recipe tells. Pairs are drawn where they are needed first, and kept. The same command "
        "goes on with a run that was stopped. DIR/model is what `exp2sim deconvolve` uses.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME)")
    parser.add_argument(
        "--pairs", type=Path, metavar="DIR", help="folder of the pairs (default: in that of the run)"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="in place of the recipe's")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``exp2sim train-deconvolver``."""
    from mantid_exp2sim.training.trainers.unrolled import read_unrolled_recipe, train_unrolled

    recipe = read_unrolled_recipe(args.recipe)
    if args.seconds is not None:
        recipe = recipe.model_copy(update={"seconds": args.seconds})
    out = args.out or Path("runs") / args.recipe.stem
    row = train_unrolled(recipe, out, args.pairs or out / "pairs")
    emit(args, {"folder": str(out), **row}, f"{out / 'model'}: after {row['step']} steps")
    return 0
