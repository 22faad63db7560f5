"""The domain check: the batched transport against POT's loop, and every control set.

python benchmarks/domain.py [--repeats 100]
python benchmarks/domain.py --controls MODEL DATASET [--count 100] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np

from mantid_exp2sim.transport import pot_costs, published_distribution


def speed(repeats: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 8)), 1.3 * rng.normal(size=(500, 8)) + 0.5
    pot_costs(np.ones((1, 2, 2)), 1.0)  # import it before the clock runs
    start = perf_counter()
    ours = published_distribution(a, b, repeats=repeats)
    middle = perf_counter()
    theirs = published_distribution(a, b, repeats=repeats, solve=pot_costs)
    end = perf_counter()
    difference = float(np.abs(ours - theirs).max() / theirs.mean())
    print(f"20 points against 20, {repeats} times: batched {middle - start:.2f} s")
    ratio = (end - middle) / (middle - start)
    print(f"loop over ot.sinkhorn2 (log domain): {end - middle:.2f} s, ratio {ratio:.0f}")
    print(f"largest difference {difference:.1e} of the mean cost")


def controls(model: str, dataset: Path, *, count: int, seed: int, as_json: bool) -> None:
    from mantid_exp2sim.training.domain_report import control_report, words
    from mantid_exp2sim.training.store import open_dataset

    from mantid_exp2sim.bundle import load_model

    loaded, data = load_model(model), open_dataset(dataset)
    reports = [
        control_report(loaded, data, seed, count=count, direction=direction, cuts=cuts)
        for direction in loaded.domain_card().directions
        for cuts in ((False,) if loaded.domain_card().cuts is None else (False, True))
    ]
    print(json.dumps(reports, indent=1) if as_json else "\n\n".join(words(report) for report in reports))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--controls", nargs=2, metavar=("MODEL", "DATASET"))
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.controls:
        model, dataset = args.controls
        controls(model, Path(dataset), count=args.count, seed=args.seed, as_json=args.json)
    else:
        speed(args.repeats)


if __name__ == "__main__":
    main()
