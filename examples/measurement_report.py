"""A measured mosaic through a model: domain, correlations raw and deconvolved, intensities, a picture.

    python examples/measurement_report.py measured.npy --mask nanmask.mat --out report/
    python examples/measurement_report.py measured.npy --model pcsmo-maps models/fine-tuned --out report/

Writes ``report.json`` and ``report.png`` and prints a table. The data are taken in their own units (scale 1)
and once more with the mean intensity of the training data (scale "auto"), since the absolute normalisation
of a measurement is uncertain.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import mantid_exp2sim
from mantid_exp2sim.bundle import Model
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.mosaic import volumes_from_picture
from mantid_exp2sim.plotting import compare


def panel_ratio(after: Any, before: Any) -> list[list[float | None]]:
    """Total intensity after / before per (Ei, window); None where the panel has no intensity before."""
    sums = [np.nansum(volumes_from_picture(h.intensity), axis=(1, 2)) for h in (after, before)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sums[0] / sums[1]
    return [[round(float(r), 4) if np.isfinite(r) else None for r in row] for row in ratio]


def read(model: Model, measured: Histogram, sharp: Histogram, scale: float | str) -> dict[str, Any]:
    """What the classifiers say of the measurement and of its deconvolution, and the change of the total."""
    found = {
        "raw, simulation-like classifier": model.classify(measured, scale=scale, domain=model.card.target),
        "raw, measurement-like classifier": model.classify(measured, scale=scale, domain="convolved"),
        "deconvolved": model.classify(measured, scale=scale, deconvolve=True),
    }
    return {
        "correlations": {name: dict(c.correlations) for name, c in found.items()},
        "prediction": {name: c.prediction for name, c in found.items()},
        "intensity_ratio": float(np.nansum(sharp.intensity) / np.nansum(measured.intensity)),
        "intensity_ratio_per_panel": panel_ratio(sharp, measured),
    }


def show(scale: str, part: dict[str, Any]) -> None:
    """Print the correlations at one scale."""
    for name, values in part["correlations"].items():
        shown = ", ".join(f"{c} {v:.3f}" for c, v in values.items())
        print(f"{scale:11s} {name:34s} {shown} -> {part['prediction'][name]}")
    print(f"{scale:11s} total intensity after / before {part['intensity_ratio']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--model", nargs="+", default=["pcsmo-maps"], help="one or several, side by side")
    parser.add_argument("--out", type=Path, default=Path("report"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    measured = mantid_exp2sim.load(args.measured, mask=args.mask)
    pictures, report = {"measured": measured}, {}
    for name in args.model:
        model = mantid_exp2sim.load_model(name)
        check = model.check_domain(measured)
        print(f"{model.card.name} {model.checksum[:12]}: {check.words()}")
        found: dict[str, Any] = {"checksum": model.checksum, "domain": check.to_dict()}
        for scale in (1.0, "auto"):
            sharp = model.deconvolve(measured, scale=scale, errors=False, force=True)
            found[f"scale {scale}"] = read(model, measured, sharp, scale)
            show(f"scale {scale}", found[f"scale {scale}"])
            if scale == 1.0:
                pictures[f"deconvolved, {model.card.name}"] = sharp
        report[model.card.name] = found
    compare(pictures, args.out / "report.png")
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
