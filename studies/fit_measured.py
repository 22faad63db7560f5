"""Fit the measurement of the half-doped manganite, and say what each assumption changes.

    OMP_NUM_THREADS=1 python studies/fit_measured.py FOLDER [--out DIR]

FOLDER holds ``measured_4K_clipped_120.npy`` and ``nanmask.mat`` of the published data. The errors from
inversion pairs were worked out while looking at this measurement, so it is development data for them;
tests/fitting/test_pair_errors.py holds them on simulations. Some rows take one error per panel, as a
quick look would: from all inversion pairs (which the edges of the detectors make too large), or from
pairs away from the gaps. The others are fits as `mantid_exp2sim.fit` makes them. JSON goes to DIR/fit-
measured.json, line by line.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation

from mantid_exp2sim import FitOptions, Histogram, fit, load
from mantid_exp2sim.mosaic import (
    INCIDENT_ENERGIES,
    mosaic_histogram,
    picture_from_volumes,
    split,
    volumes_from_picture,
)

LOCAL = FitOptions(starts=1, samples=0)
PLAIN = FitOptions(starts=1, samples=0, width_scale=False, outliers=0.0)
LOOSE = replace(LOCAL, scale="sloped", background="smooth")
EI = INCIDENT_ENERGIES
BOTH = ("Goodenough", "Dimer")


def with_panel_errors(data: Histogram, *, edges: bool) -> Histogram:
    """Give every bin of a panel one error, from its inversion pairs with or without bins beside gaps.

    Bins without a measured partner are masked, and zeros count as measured.
    """
    values, mask = volumes_from_picture(data.intensity), volumes_from_picture(data.mask)
    inside = ~mask & ~mask[:, ::-1, ::-1]
    touching = binary_dilation(mask, np.ones((1, 3, 3, 1), bool))
    pairs = inside if edges else inside & ~(touching | touching[:, ::-1, ::-1])
    squared = np.where(pairs, values - values[:, ::-1, ::-1], 0.0) ** 2
    variance = 0.5 * squared.sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))
    spread = np.broadcast_to(variance[:, None, None], values.shape)
    hidden = picture_from_volumes(~inside)
    # a shift of 1e-9 keeps zeros from counting as cut
    return mosaic_histogram(data.intensity - 1e-9, variance=picture_from_volumes(spread), mask=hidden)


def cases(data: Histogram) -> list[tuple[str, list[Histogram], tuple[str, ...], FitOptions]]:
    """List what is fitted."""
    all_pairs, good_pairs = ([with_panel_errors(data, edges=edges)] for edges in (True, False))
    whole, volumes = [data], list(split(data))
    listed: list[tuple[str, list[Histogram], tuple[str, ...], FitOptions]] = [
        ("sloped scale, smooth background", whole, BOTH[:1], LOOSE),
        *((f"the same, {ei:.0f} meV alone", [v], BOTH[:1], LOOSE) for ei, v in zip(EI, volumes, strict=True)),
        ("the same, 25, 35 and 50 meV", volumes[:3], BOTH[:1], LOOSE),
        ("the same, 70, 100 and 140 meV", volumes[3:], BOTH[:1], LOOSE),
        ("the same, line width free", whole, BOTH[:1], replace(LOOSE, line_width=True)),
        ("the same, Dimer", whole, BOTH[1:], LOOSE),
        ("the same, misalignment free", whole, BOTH[:1], replace(LOOSE, misalignment=True)),
        ("the same, phonons", whole, BOTH[:1], replace(LOOSE, phonons=True)),
        ("the same, width fixed", whole, BOTH[:1], replace(LOOSE, width_scale=False)),
        ("the same, grid 60", whole, BOTH[:1], replace(LOOSE, grid=60)),
        ("sloped scale, flat background", whole, BOTH[:1], replace(LOOSE, background="flat")),
        ("one scale, smooth background", whole, BOTH[:1], replace(LOOSE, scale="each")),
        ("one scale, flat background", whole, BOTH, LOCAL),
        ("one error per panel, of all pairs; width fixed", all_pairs, BOTH, PLAIN),
        ("one error per panel, of pairs away from gaps; width fixed", good_pairs, BOTH[:1], PLAIN),
        (
            "sloped scale, smooth background, with search and draws",
            whole,
            BOTH,
            replace(LOOSE, starts=24, samples=40),
        ),
    ]
    return listed


def row(title: str, data: list[Histogram], models: tuple[str, ...], options: FitOptions) -> dict[str, Any]:
    """Fit one case."""
    result = fit(data, models, options=options)
    report = result.to_dict()
    for model in report["models"].values():
        model["terms"] = [term for term in model["terms"] if "scale" in term["name"]]
    return {"case": title, **report}


def text(report: dict[str, Any]) -> str:
    """Write a case in a few lines."""
    lines = [f"{report['case']}: {report['bins']['used']} bins, {report['seconds']:.0f} s"]
    for name, model in report["models"].items():
        constants = ", ".join(f"{k} {v['mean']:.3f}({v['sd']:.3f})" for k, v in model["parameters"].items())
        lines.append(
            f"  {name}: χ² {model['chi2_reduced']:.3f}, explained {model['explained']:.3f}, "
            f"ln evidence {model['log_evidence']:.0f}, {constants}"
        )
    return "\n".join([*lines, f"  {report['sentence']}"])


def main() -> None:
    """Fit all cases, those that are not yet in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    args = parser.parse_args()
    data = load(args.folder / "measured_4K_clipped_120.npy", mask=args.folder / "nanmask.mat")
    place = args.out / "fit-measured.json"
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    reports = {report["case"]: report for report in map(json.loads, lines)}
    for title, histograms, models, options in cases(data):
        if title not in reports:
            reports[title] = row(title, histograms, models, options)
            with place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(reports[title]) + "\n")
        print(text(reports[title]), flush=True)


if __name__ == "__main__":
    main()
