"""The network for any material against Richardson–Lucy, on families of magnets that it never met.

    python benchmarks/chopper_any.py [--instruments 1] [--seeds 1] [--wrong-width 1.15] [--times]

Relative L2 to the truth over the measured bins, of volumes of 30 × 30 × 18 bins. Kagome and honeycomb
magnets, antiferromagnets on the square lattice and the half-doped manganite, by one or more instruments each.

clean          as simulated
measured-like  variance over intensity 0.06 of the mean intensity
weak           0.4 of it
background     measured-like, with a background that falls with energy and rises with |Q|, 30 % of the total

RL best   the best of 31 iterations of Richardson–Lucy, which only the truth tells
RL stops  what `--method richardson-lucy` gives (with `--background smooth` where there is one)
network   the network alone
shipped   what `--method chopper-any` gives: the network, or Richardson–Lucy where it steps aside

--wrong-width  factor on the widths that both assume
--times        instead the CPU seconds of a mosaic of 240 × 400 bins and of a volume of 60³
--model        folder of another deconvolver
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.application import universal
from mantid_exp2sim.application.known_resolution import ClassicalOptions, deconvolve_known, resolution_on
from mantid_exp2sim.application.universal import deconvolve_any
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.richardson_lucy import iterates
from mantid_exp2sim.inference.unrolled import Deconvolver, open_deconvolver
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.measurement import simulate, simulate_volume, solve
from mantid_exp2sim.simulation.setting import Setting, complete
from mantid_exp2sim.simulation.surroundings import smooth_background
from mantid_exp2sim.training.synthetic.world.held_out import Material, held_out_setting, materials

INSTRUMENTS = ("MAPS", "MERLIN", "LET", "ARCS", "SEQUOIA", "MARI")
NOISE = {"clean": 0.0, "measured-like": 0.06, "weak": 0.4, "background": 0.06}
COLUMNS = ("raw", "RL best", "RL stops", "network", "shipped")
SHARE = 0.3
PLAIN = ClassicalOptions(uncertainty=False)
SMOOTH = ClassicalOptions(uncertainty=False, background="smooth")
Array = NDArray[np.float64]


def case(material: Material, instrument: str) -> tuple[Histogram, Array, Array]:
    """A clean measurement, its truth, and the background, 0 where not measured."""
    setting = held_out_setting(material, instrument)
    waves = solve(material.model, material.constants, setting.options)
    clean = simulate_volume(waves, setting.binning)
    truth = simulate_volume(waves, setting.binning, kind="integrated", mask=clean.mask)
    sides = smooth_background(setting.bins, setting.binning.incident_energy, decay=0.5, rise=1.0)
    sides = np.where(clean.mask, 0.0, sides)
    total = float(np.nansum(clean.intensity))
    return clean, np.where(clean.mask, 0.0, truth.intensity), SHARE * total * sides / sides.sum()


def measured(clean: Histogram, background: Array, level: float, seed: int) -> Histogram:
    """Counts with a level of noise, which has 5 % of the mean intensity below."""
    values = np.where(clean.mask, 0.0, clean.intensity) + background
    mean = float(np.nanmean(clean.intensity))
    variance = level * mean * (values + 0.05 * mean) * ~clean.mask
    noise = np.sqrt(variance) * np.random.default_rng(seed).standard_normal(values.shape)
    seen = np.where(clean.mask, np.nan, values + noise)
    return clean.replace(intensity=seen, variance=np.where(clean.mask, np.nan, variance))


def errors(
    data: Histogram, truth: Array, setting: Setting, model: Deconvolver, options: ClassicalOptions
) -> dict[str, Any]:
    """The relative L2 of each column."""
    size = float(np.linalg.norm(truth))

    def error(values: Any) -> float:
        return float(np.linalg.norm(np.where(data.mask, 0.0, values) - truth)) / size

    blur = resolution_on(data, complete(setting, data)).on(data.mask)
    y = np.where(data.mask, 0.0, data.intensity).astype(np.float32)
    shipped = deconvolve_any(data, setting, PLAIN, deconvolver=model).histogram
    trusted, universal.TRUSTED = universal.TRUSTED, np.inf
    alone = deconvolve_any(data, setting, PLAIN, deconvolver=model).histogram
    universal.TRUSTED = trusted
    told = shipped.metadata["history"][-1]["options"]["volumes"][0]
    return {
        "raw": error(y),
        "RL best": min(error(x) for x, _ in islice(iterates(blur, y), 31)),
        "RL stops": error(deconvolve_known(data, setting, options).intensity),
        "network": error(alone.intensity),
        "shipped": error(shipped.intensity),
        "total": float(np.nansum(alone.intensity) / truth.sum()),
        "unexplained": alone.metadata["history"][-1]["options"]["volumes"][0]["unexplained"],
        "fallback": "not_the_network" in told,
    }


def rows(count: int, seeds: int, width: float, model: Deconvolver) -> Iterator[dict[str, Any]]:
    """The errors of every material, instrument and kind of data."""
    for number, material in enumerate(materials()):
        for step in range(count):
            instrument = INSTRUMENTS[(number + step * (1 + number % 4)) % len(INSTRUMENTS)]
            clean, truth, background = case(material, instrument)
            lattice = material.model.lattice.cell if isinstance(material.model, Description) else None
            setting = Setting(lattice=lattice, width_scale=width)
            for kind, level in NOISE.items():
                beside = background if kind == "background" else 0 * background
                options = SMOOTH if kind == "background" else PLAIN
                runs = [
                    errors(measured(clean, beside, level, seed), truth, setting, model, options)
                    for seed in range(seeds if level else 1)
                ]
                row = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
                energy = clean.metadata["incident_energy"]
                yield {"material": material.name, "family": material.family, "instrument": instrument,
                       "energy": energy, "data": kind, **row}  # fmt: skip


def table(figures: list[dict[str, Any]]) -> None:
    """Print medians for each kind of data, and for each family."""
    print(
        "\n| data | family | "
        + " | ".join(COLUMNS)
        + " | network / RL best | shipped / RL stops | worst shipped / RL stops | stepped aside |"
    )
    print("| --- " * (6 + len(COLUMNS)) + "|")
    for kind in NOISE:
        for family in ("all", *dict.fromkeys(row["family"] for row in figures)):
            some = [row for row in figures if row["data"] == kind and family in ("all", row["family"])]
            numbers = " | ".join(f"{np.median([row[column] for row in some]):.3f}" for column in COLUMNS)
            best = np.median([row["network"] / row["RL best"] for row in some])
            ratios = [row["shipped"] / row["RL stops"] for row in some]
            aside = sum(row["fallback"] > 0 for row in some)
            told = f"{best:.2f} | {np.median(ratios):.2f} | {max(ratios):.2f} | {aside}"
            print(f"| {kind} | {family} ({len(some)}) | {numbers} | {told} |")


def times(model: Deconvolver, repeats: int = 2) -> dict[str, float]:
    """CPU seconds, the least of some runs."""
    mosaic = simulate("Goodenough", noise=0.7, grid=12)
    volume = simulate("Goodenough", noise=0.7, grid=12, binning=Binning.regular(140.0, bins=(60, 60, 60)))
    seconds = {}
    for name, data in (("mosaic 240 x 400", mosaic), ("volume 60^3", volume)):
        for uncertainty in (False, True):
            runs = []
            for _ in range(repeats):
                start = process_time()
                deconvolve_any(data, Setting(), ClassicalOptions(uncertainty=uncertainty), deconvolver=model)
                runs.append(process_time() - start)
            seconds[f"{name}, {'with' if uncertainty else 'without'} errors"] = min(runs)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instruments", type=int, default=1, help="of each material, at most 6")
    parser.add_argument("--seeds", type=int, default=1, help="of the noise")
    parser.add_argument(
        "--wrong-width", type=float, default=1.0, help="factor on the widths that are assumed"
    )
    parser.add_argument("--times", action="store_true", help="the CPU seconds instead")
    parser.add_argument("--model", type=Path, help="folder of another deconvolver")
    parser.add_argument("--json", type=Path, help="also write the figures")
    args = parser.parse_args()
    model = open_deconvolver(args.model)
    if args.times:
        for name, value in times(model).items():
            print(f"{name}: {value:.1f} s")
        return
    figures = []
    print("| material | instrument, Ei | data | " + " | ".join(COLUMNS) + " | total | unexplained |")
    print("| --- " * (5 + len(COLUMNS)) + "|")
    for row in rows(args.instruments, args.seeds, args.wrong_width, model):
        figures.append(row)
        numbers = " | ".join(f"{row[column]:.3f}" for column in COLUMNS)
        where = f"{row['instrument']}, {row['energy']:g} meV"
        print(
            f"| {row['material']} | {where} | {row['data']} | {numbers} | "
            f"{row['total']:.2f} | {row['unexplained']:.2f} |",
            flush=True,
        )
    table(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
