"""How much of the intensity of each energy bin a translation keeps, in fine bins and in wider windows.

    python benchmarks/fine_flux.py DATASET MODEL|RUN ... [--count 8] [--window 6] [--noise 4] [--seed 0]
                                   [--split validation]

The total of each bin over all spectra, over the true total: the share of the bins where it
is within 5 %, and the share of the intensity that they hold. ``--window`` so many bins are one window.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mantid_exp2sim.training.evaluation.inputs import Spectra
from mantid_exp2sim.training.evaluation.translators import open_translator
from mantid_exp2sim.training.metrics import relative_l2
from mantid_exp2sim.training.pairs import open_pairs
from torch import Tensor

CASES = {
    "deconvolve": ("deconvolve", "convolved", "target"),
    "deconvolve measured": ("deconvolve", "measured", "target"),
    "convolve": ("convolve", "target", "convolved"),
}
EMPTY = 1e-6
"""Bins with less than this share of the largest total are left out."""


def near(made: Tensor, true: Tensor, window: int) -> str:
    """Of totals (Ei, E): the bins within 5 %, and what they hold."""
    groups = [part.unflatten(1, (-1, window)).sum(2) for part in (made, true)]
    some = groups[1] > EMPTY * groups[1].max()
    made, true = (part[some] for part in groups)
    inside = (made / true - 1).abs() <= 0.05
    return f"{100 * inside.double().mean():.0f} % ({100 * true[inside].sum() / true.sum():.0f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL|RUN")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--window", type=int, default=6)
    parser.add_argument("--noise", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    args = parser.parse_args()
    data = open_pairs(args.dataset)
    indices = data.split(args.split, args.count)
    spectra = Spectra(data, "integrated", indices, args.noise, 0.7, args.seed)
    translators = {name: open_translator(name) for name in args.models}
    keep = ~spectra.mask
    header = ["", "by", "relative L2", "total", "bins within 5 %", f"windows of {args.window} bins"]
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " --- |" * (len(header) - 1))
    for case, (direction, source, goal) in CASES.items():
        for name in ("untranslated", *translators):
            sums, errors = torch.zeros(2, *keep.shape[::3], dtype=torch.float64), []
            for batch in spectra.batches():
                x, true = batch.source(source), batch.source(goal)
                made = translators[name](direction, x, spectra) if name in translators else x
                sums += torch.stack([(part.double() * keep).sum((0, 2, 3)) for part in (made, true)])
                errors += [
                    relative_l2(y[None], t[None], spectra.mask) for y, t in zip(made, true, strict=True)
                ]
            made, true = sums
            row = [case, name, f"{sum(errors) / len(errors):.3f}", f"{made.sum() / true.sum():.3f}"]
            print(
                "| " + " | ".join([*row, near(made, true, 1), near(made, true, args.window)]) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
