"""How near the resolution operator comes to simulated pairs, and what Richardson–Lucy makes of it.

    python benchmarks/resolution.py data/pcsmo-maps --limit 60

Relative L2 on validation mosaics, of integrated → convolved (the operator) and of convolved → integrated
(Richardson–Lucy, clean and with counting noise).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mantid_exp2sim.training.datasets import open_dataset
from mantid_exp2sim.training.evaluation.inputs import Spectra
from mantid_exp2sim.training.evaluation.translators import blur
from mantid_exp2sim.training.operator import dataset_operator
from mantid_exp2sim.training.richardson_lucy import deconvolve_mosaics

ITERATIONS = (0, 1, 2, 3, 5, 8, 12)


def distance(made: torch.Tensor, truth: torch.Tensor) -> str:
    """Over whole mosaics, and per incident energy over all of them."""
    error, size = (part.double().square().sum(dim=(2, 3, 4)) for part in (made - truth, truth))
    whole = float((error.sum(1) / size.sum(1)).sqrt().mean())
    parts = (error.sum(0) / size.sum(0)).sqrt().tolist()
    return f"{whole:.3f} | " + " ".join(f"{part:.3f}" for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="The resolution operator against simulated pairs.")
    parser.add_argument("dataset", nargs="?", type=Path, default=Path("data/pcsmo-maps"))
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--noise", type=float, default=0.7)
    args = parser.parse_args()
    data = open_dataset(args.dataset)
    spectra = Spectra(data, "integrated", data.split("validation", args.limit), args.noise, 0.0, 0)
    batches = list(spectra.batches())
    convolved, target, noisy = (
        torch.cat([batch.source(name) for batch in batches]) for name in ("convolved", "target", "measured")
    )
    operator = dataset_operator(data)
    print("| integrated → convolved | relative L2 | per incident energy |\n| --- | --- | --- |")
    print(f"| as it is | {distance(target, convolved)} |")
    print(f"| resolution operator | {distance(blur(operator, target, spectra), convolved)} |")
    print("\n| Richardson–Lucy | clean | per Ei | noisy | per Ei |\n| --- | --- | --- | --- | --- |")
    for iterations in ITERATIONS:
        made = [
            deconvolve_mosaics(
                operator, x, spectra.energies, spectra.mask, iterations=iterations, noise=noise
            )
            for x, noise in ((convolved, 0.0), (noisy, args.noise))
        ]
        print(
            f"| {iterations} iterations | {distance(made[0], target)} | {distance(made[1], target)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
