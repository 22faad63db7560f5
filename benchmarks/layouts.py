"""Panels, volumes with the energies as channels, or true (h, k, E) volumes: which sees a mosaic best?

    python benchmarks/layouts.py data/pcsmo-maps [--minutes 4] [--limit 1000] [--layouts 0 2]

Each layout is trained from the same recipe for the same processor time (the speed of its first steps sets the
number of steps), then compared by relative L2 on validation mosaics, clean, as in every training run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from mantid_exp2sim.training.gan import DualGan
from mantid_exp2sim.training.runs import train_gan
from table import Row, finish

RECIPE = Path(__file__).parent.parent / "training" / "recipes" / "gan-paired.toml"
LAYOUTS: dict[str, dict[str, Any]] = {
    "volumes of one Ei, energies as channels (2D)": {
        "width": 32,
        "layout": {"dimension": 2, "energy": "channels", "windows": 10},
    },
    "every panel alone (2D)": {"width": 32, "layout": {"dimension": 2, "energy": "separate"}},
    "volumes (h, k, E) of one Ei (3D)": {"width": 16, "layout": {"dimension": 3, "energy": "axis"}},
    "slices (h, E) at each k (2D)": {"width": 32, "layout": {"dimension": 2, "energy": "axis"}},
}
TRIAL = 16
"""Steps that are timed, of which the first half does not count."""


@contextmanager
def timed_steps() -> Iterator[list[float]]:
    """The processor seconds of every training step, without reading the data and the checks."""
    spent: list[float] = []
    plain = DualGan.train_step

    def timed(task: DualGan, step: int) -> dict[str, float]:
        start = time.process_time()
        report = plain(task, step)
        spent.append(time.process_time() - start)
        return report

    with mock.patch.object(DualGan, "train_step", timed):
        yield spent


def recipe_text(settings: dict[str, Any]) -> str:
    """TOML of a recipe of tables of plain values."""
    lines = []
    for table, values in settings.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def train(folder: Path, settings: dict[str, Any], steps: int) -> tuple[list[float], dict[str, Any]]:
    """Processor seconds of the steps of a run, and what it says of its best step."""
    settings["schedule"]["steps"] = steps
    recipe = folder / f"{steps}.toml"
    recipe.write_text(recipe_text(settings))
    with timed_steps() as spent:
        train_gan(recipe, out=folder / str(steps))
    found: dict[str, Any] = json.loads((folder / str(steps) / "best" / "best.json").read_text())
    return spent, found


def measure(layout: str, dataset: Path, minutes: float, limit: int) -> Row:
    """Train one layout for so much processor time."""
    settings = tomllib.loads(RECIPE.read_text())
    settings["data"] |= {"folder": str(dataset.resolve()), "limit": limit}
    settings["network"] |= LAYOUTS[layout]
    settings["schedule"] |= {"warmup": 20}
    settings["validation"] |= {"checks": 1, "count": 2, "pictures": False}
    with tempfile.TemporaryDirectory() as folder:
        trial, _ = train(Path(folder), settings, TRIAL)
        steps = max(50, int(minutes * 60 / statistics.median(trial[TRIAL // 2 :])))
        settings["validation"]["count"] = 32
        took, best = train(Path(folder), settings, steps)
    metrics = best["deconvolve"]["metrics"]
    return Row(
        name=layout,
        value=best["deconvolve"]["score"],
        unit="",
        reference=metrics["raw_deconvolve_relative_l2"],
        reference_name="raw",
        note=f"convolve {best['convolve']['score']:.3f} of {metrics['raw_convolve_relative_l2']:.3f}; "
        f"{steps} steps, {sum(took):.0f} s of the processor, width {settings['network']['width']}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?", default=Path("data/pcsmo-maps"))
    parser.add_argument("--minutes", type=float, default=4.0, help="processor time of each")
    parser.add_argument("--limit", type=int, default=1000, help="training mosaics")
    parser.add_argument("--layouts", nargs="+", type=int, choices=range(len(LAYOUTS)), metavar="N",
                        default=range(len(LAYOUTS)), help="which, by number from 0")  # fmt: skip
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    # a process for each: it holds several gigabytes
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(measure, list(LAYOUTS)[number], args.dataset, args.minutes, args.limit)
            for number in args.layouts
        ]
        rows = [job.result() for job in jobs]
    finish(rows, "relative L2 on validation mosaics, deconvolving")


if __name__ == "__main__":
    main()
