"""Which panels and which energies decide between the spin-wave models.

    python benchmarks/attention.py MODEL DATASET --limit 100 --plot docs/images/attention.png

Prints the panels of the test set that the answer depends on most, and the mean per energy range.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mantid_exp2sim.training.datasets import open_dataset
from mantid_exp2sim.training.evaluation.extras import panel_report
from mantid_exp2sim.training.evaluation.inputs import Spectra
from mantid_exp2sim.training.evaluation.pictures import attention_figure
from mantid_exp2sim.training.evaluation.report import panels_that_decide

from mantid_exp2sim.atomic import atomic_path
from mantid_exp2sim.bundle import load_model

RANGES = ((0, 10), (10, 20), (20, 28), (28, 32), (32, 45), (45, 56), (56, 75), (75, 100))
"""meV; 28 to 32 and 56 to 75 are where the two models are known to differ."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Which panels and which energies decide.")
    parser.add_argument("model", nargs="?", default="pcsmo-maps")
    parser.add_argument("dataset", nargs="?", type=Path, default=Path("data/pcsmo-maps"))
    parser.add_argument("--limit", type=int, default=100, help="spectra of the test split (default 100)")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    args = parser.parse_args()
    model, data = load_model(args.model), open_dataset(args.dataset)
    spectra = Spectra(data, model.card.target, data.split("test", args.limit), 0.0, 0.0, 0)
    found = panel_report(model, spectra, args.limit)
    report = {
        "panels": found,
        "incident_energies": data.energies.tolist(),
        "energy_edges": spectra.energy_edges,
    }
    table = panels_that_decide(report)
    assert table is not None
    print(
        f"{found['spectra']} spectra\n\n{table.markdown()}\n\n"
        "| energy transfer | change without a panel | share of the map |"
    )
    print("| --- | --- | --- |")
    energy = np.array(found["energy"])
    for low, high in RANGES:
        inside = (energy >= low) & (energy < high)
        values = [np.array(found["by_energy"][name], dtype=float)[inside] for name in ("deciding", "weights")]
        print(f"| {low} to {high} meV | {np.nanmean(values[0]):.3f} | {100 * np.nanmean(values[1]):.2f} % |")
    if args.plot is not None:
        figure = attention_figure(report)
        assert figure is not None
        with atomic_path(args.plot) as temporary:
            figure.savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()
