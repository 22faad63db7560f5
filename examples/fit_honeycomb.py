"""Find the constants of a honeycomb antiferromagnet that nobody trained for, from random starts.

    python examples/fit_honeycomb.py [--starts 24]

Simulates a volume on MERLIN with noise, a scale and a background, and fits J1, J2, J3 within wide bounds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mantid_exp2sim import Binning, FitOptions, Histogram, Measurement, fit, simulate
from mantid_exp2sim.simulation.material import Description

TRUTH = {"J1": 1.2, "J2": 0.1, "J3": 0.35}
BOUNDS = {"J1": (0.3, 2.5), "J2": (-0.2, 0.4), "J3": (-0.2, 1.0)}
SITE = {"ion": "Mn2+", "spin": 2.5}
HONEYCOMB = Description.model_validate(
    {
        "name": "honeycomb",
        "formula_units": 2,
        "lattice": {"a": 6.1, "b": 6.1, "c": 13.0, "gamma": 120.0},
        "view": {"horizontal": [1, 0, 0], "vertical": [-1, 2, 0]},
        "parameters": {name: {"value": TRUTH[name], "range": BOUNDS[name]} for name in TRUTH},
        "bonds": [{"parameter": name, "shell": shell + 1} for shell, name in enumerate(TRUTH)],
        "sites": [
            {"name": "up", "positions": [[1 / 3, 2 / 3, 0]], "direction": [0, 0, 1], **SITE},
            {"name": "down", "positions": [[2 / 3, 1 / 3, 0]], "direction": [0, 0, -1], **SITE},
        ],
    }
)


def measured() -> Histogram:
    """Simulate what a spectrometer would count."""
    binning = Binning.regular(20.0, bins=(20, 20, 8), energy=(2.0, 15.0))
    ideal = simulate(HONEYCOMB, binning=binning, instrument="MERLIN", frequency=200.0)
    expected = 0.3 * np.nan_to_num(ideal.intensity)
    mean = expected[~ideal.mask].mean()
    expected = expected + 0.3 * mean
    variance = 0.1 * mean * expected
    noise = np.sqrt(variance) * np.random.default_rng(0).standard_normal(expected.shape)
    return ideal.replace(intensity=expected + noise, variance=variance)


def main() -> None:
    """Fit, and compare with what was put in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=24)
    options = FitOptions(starts=parser.parse_args().starts, samples=0)
    # the value of the description would be the first start: move it away from the truth
    middle = {
        name: value.model_copy(update={"value": float(np.mean(BOUNDS[name]))})
        for name, value in HONEYCOMB.parameters.items()
    }
    start = time.process_time()
    result = fit(
        Measurement(measured()), HONEYCOMB.model_copy(update={"parameters": middle}), options=options
    )
    print(result.sentence)
    model = result.leading
    for name, value in TRUTH.items():
        print(f"{name}: {model.mean[name]:.4f} ± {model.sd[name]:.4f} meV, put in {value}")
    print(f"{time.process_time() - start:.0f} s of CPU, {result.seconds:.0f} s")


if __name__ == "__main__":
    main()
