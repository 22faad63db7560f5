"""How far a coarse grid moves constants: one volume of the manganite, made on a fine grid, without noise.

    OMP_NUM_THREADS=1 python benchmarks/fit_grid.py --grids 8 15 20 30 45

Data on 60 half points per r.l.u., at 50 meV, with variances of a measurement; each fit starts at the truth.
Printed is what each constant is off, in standard deviations of that noise.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mantid_exp2sim import FitOptions, fit, simulate
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES
from mantid_exp2sim.simulation.binning import mosaic_binnings
from mantid_exp2sim.simulation.manganite import BEST_FIT, PARAMETERS

FREE = ("JF1", "JA", "JF3", "width_scale")
FINE = 60


def main() -> None:
    """Fit on every grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", type=int, nargs="+", default=[8, 15, 20, 30, 45])
    parser.add_argument("--energy", type=float, default=50.0, choices=INCIDENT_ENERGIES, help="meV")
    args = parser.parse_args()
    binning = mosaic_binnings()[INCIDENT_ENERGIES.index(args.energy)]
    truth = dict(zip(PARAMETERS["Goodenough"], BEST_FIT["Goodenough"], strict=True)) | {"width_scale": 1.0}
    ideal = simulate("Goodenough", binning=binning, grid=FINE)
    expected = 0.3 * np.nan_to_num(ideal.intensity)
    data = ideal.replace(intensity=expected, variance=0.2 * expected + 0.05)
    fixed = {name: value for name, value in truth.items() if name not in FREE}
    for grid in args.grids:
        start = time.process_time()
        model = fit(
            data, "Goodenough", options=FitOptions(fixed=fixed, grid=grid, starts=1, samples=0)
        ).leading
        sd = np.sqrt(np.diag(model.covariance) / model.widening)
        off = [(model.mean[name] - truth[name]) / error for name, error in zip(model.names, sd, strict=True)]
        listed = ", ".join(f"{name} {value:+.2f}" for name, value in zip(model.names, off, strict=True))
        print(f"grid {grid}: {listed} errors; CPU {time.process_time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
