"""Half way between two runs: what generators make whose weights are means of those of two runs.

    python benchmarks/mean_of_runs.py RUN RUN DATASET [--count 10] [--seed 0]

The second run went on from the first. Relative L2 distance of deconvolved mosaics of the validation split to
the truth, clean and with two kinds of noise, by the share of the second run's weights in the mean. ``flat``
is the noise of a subtracted background, of one standard deviation in all bins.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from mantid_exp2sim.training.evaluation.inputs import Spectra
from mantid_exp2sim.training.evaluation.translators import Translator
from mantid_exp2sim.training.metrics import relative_l2
from mantid_exp2sim.training.pairs import open_pairs
from mantid_exp2sim.training.runs import load_generator
from noisier import measured

CASES = {
    "clean": (0.0, 0.0, 0.0, False),
    "0.7·I and a background": (0.7, 0.7, 0.0, False),
    "the same and flat 4": (0.7, 0.7, 4.0, False),
}
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data = open_pairs(args.dataset)
    (one, model), (two, _) = (load_generator(run, "deconvolve") for run in args.runs)
    first, second = ({k: v.clone() for k, v in net.state_dict().items()} for net in (one, two))
    indices = data.split("validation", args.count)
    spectra = Spectra(data, model.target, indices, 0.0, 0.0, args.seed)
    translator = Translator({"deconvolve": [one.eval()]}, model.scaling, model.layout)
    clean, truth = data.read("convolved", indices), torch.from_numpy(data.read(model.target, indices))
    print("| share of the second | " + " | ".join(CASES) + " |")
    print("| --- |" + " --- |" * len(CASES))
    for share in SHARES:
        one.load_state_dict({key: torch.lerp(first[key], second[key], share) for key in first})
        row = []
        for case in CASES.values():
            made = [measured(x, case, np.random.default_rng([args.seed, n])) for n, x in enumerate(clean)]
            x = torch.from_numpy(np.stack(made).astype(np.float32))
            row.append(float(relative_l2(translator("deconvolve", x, spectra), truth, spectra.mask)))
        print(f"| {share:g} | " + " | ".join(f"{value:.4f}" for value in row) + " |", flush=True)


if __name__ == "__main__":
    main()
