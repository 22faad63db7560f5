"""Measurements of many strengths of noise: what the domain check says, and what the model makes of them.

    python benchmarks/noisier.py MODEL DATASET [--count 8] [--seed 0]

Simulated mosaics of the validation split with noise and background in several strengths: the p-value, the
score over the limit and the share that would be refused, and the relative L2 distance to the truth before
and after a deconvolution that is forced. "flat" is noise of one standard deviation in all bins, in the units
of the data, as a background leaves it when it is subtracted; "cut" sets negatives to 0 and clips at 120.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from mantid_exp2sim.training.augment import as_measured
from mantid_exp2sim.training.metrics import relative_l2
from mantid_exp2sim.training.pairs import open_pairs

from mantid_exp2sim.bundle import Model, load_model
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.mosaic import mosaic_histogram, picture_from_volumes

CASES: dict[str, tuple[float, float, float, bool]] = {
    "0.7·I": (0.7, 0.7, 0, False),
    "0.7·I, cut": (0.7, 0.7, 0, True),
    "1.5·I": (1.5, 0.7, 0, False),
    "3·I": (3.0, 0.7, 0, False),
    "5·I, cut": (5.0, 0.7, 0, True),
    "0.7·I, background 2": (0.7, 2.0, 0, False),
    "0.7·I and flat 1, cut": (0.7, 0.7, 1, True),
    "0.7·I and flat 3, cut": (0.7, 0.7, 3, True),
    "0.7·I and flat 6, cut": (0.7, 0.7, 6, True),
}
"""Variance of the noise over I, mean height of the background, flat noise, and whether it is cut."""


def measured(clean: Floats, case: tuple[float, float, float, bool], rng: np.random.Generator) -> Floats:
    """Volumes (6, 40, 40, 10) as they would be measured."""
    noise, background, flat, cut = case
    made = as_measured(rng, clean[None].copy(), noise=(noise, noise), background=background)[0]
    made = made + flat * rng.standard_normal(made.shape)
    return np.clip(made, 0, 120) if cut else made


def one(model: Model, volumes: Floats, truth: Floats, mask: Floats) -> tuple[float, float, float, float]:
    """p-value, score over the limit, relative L2 before and after."""
    unknown, goal = picture_from_volumes(mask), picture_from_volumes(truth)
    mosaic = mosaic_histogram(picture_from_volumes(np.where(mask, np.nan, volumes)), mask=unknown)
    found = model.check_domain(mosaic)
    assert found.p_value is not None
    assert found.score is not None
    assert found.limit is not None
    sharp = model.deconvolve(mosaic, errors=False, force=True).intensity
    before, after = (
        relative_l2(
            *(torch.from_numpy(np.nan_to_num(v))[None] for v in (made, goal)), torch.from_numpy(unknown)
        )
        for made in (mosaic.intensity, sharp)
    )
    return found.p_value, found.score / found.limit, before, after


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model, data = load_model(args.model), open_pairs(args.dataset)
    split = data.split("validation")
    indices = np.sort(np.random.default_rng(args.seed).permutation(split)[: args.count])
    clean, truth = data.read("convolved", indices), data.read(model.card.target, indices)
    print("| noise | p, median | score / limit | refused | relative L2 before | after |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, case in CASES.items():
        rows = np.array(
            [
                one(
                    model,
                    measured(clean[n], case, np.random.default_rng([args.seed, n])),
                    truth[n],
                    data.mask,
                )
                for n in range(len(indices))
            ]
        )
        p, score, before, after = np.median(rows, axis=0)
        refused = (rows[:, 1] > 1).mean()
        print(f"| {name} | {p:.3f} | {score:.2f} | {refused:.0%} | {before:.3f} | {after:.3f} |", flush=True)


if __name__ == "__main__":
    main()
