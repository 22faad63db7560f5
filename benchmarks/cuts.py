"""Single cuts of a mosaic: what the domain check of a model of cuts says of each.

python benchmarks/cuts.py measured.npy --mask nanmask.mat [--model pcsmo-maps-1d-q] [--each 30] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from scipy.stats import kstest

import mantid_exp2sim
from mantid_exp2sim import mosaic
from mantid_exp2sim.histogram import Histogram


def cut(volume: Histogram, k: int, energy: int) -> Histogram:
    """Along h; nothing is left of the other axes."""
    parts = (part[:, k, energy] for part in (volume.intensity, volume.variance, volume.mask))
    return Histogram(*parts, (volume.axes[0],), volume.metadata)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured")
    parser.add_argument("--mask")
    parser.add_argument("--model", default="pcsmo-maps-1d-q")
    parser.add_argument("--each", type=int, default=30, help="places tried at every incident energy")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = mantid_exp2sim.load_model(args.model)
    picture = mantid_exp2sim.load(args.measured, mask=args.mask)
    rng = np.random.default_rng(args.seed)
    found = []
    for volume in mosaic.split(picture):
        for k, energy in rng.integers((volume.shape[1], volume.shape[2]), size=(args.each, 2)):
            one = cut(volume, int(k), int(energy))
            if (~one.mask).mean() >= 0.5:
                found.append(model.check_domain(one))
    p_values = [float(check.p_value) for check in found if check.p_value is not None]
    print(f"{len(found)} cuts, at least half of each measured: {dict(Counter(c.verdict for c in found))}")
    print(f"p below 0.05: {np.mean(np.array(p_values) < 0.05):.3f}, median {np.median(p_values):.2f}")
    print(f"Kolmogorov-Smirnov against uniform: p = {kstest(p_values, 'uniform').pvalue:.2f}")
    print(f"the whole measurement: {model.check_domain(picture).words()}")


if __name__ == "__main__":
    main()
