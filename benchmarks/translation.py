"""Time of a translation, beside the generator of the published size in the same process.

    python benchmarks/translation.py [--rounds 7] [--threads 2] [--json]

Both take turns, so that a busy machine is busy for both; medians over the rounds. On a shared machine ratios
say more than seconds, and those of processor time (in the note) more than those of the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from table import Row, finish

from mantid_exp2sim import load_model
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.networks.generator import PaperGenerator

PICTURE = (1, 1, 240, 400)
"""A mosaic as the published network sees it: one picture of one channel."""
Seconds = dict[str, list[float]]


def take_turns(tasks: dict[str, Callable[[], object]], rounds: int) -> tuple[Seconds, Seconds]:
    """Seconds by the clock and of the processor in each round, after one round that does not count."""
    clock: Seconds = {name: [] for name in tasks}
    processor: Seconds = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter(), time.process_time()
            task()
            if number:
                clock[name].append(time.perf_counter() - start[0])
                processor[name].append(time.process_time() - start[1])
    return clock, processor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", default="pcsmo-maps")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    intensity = rng.gamma(1.0, 8.0, (240, 400))
    mosaic = mosaic_histogram(intensity, variance=0.7 * intensity, mask=rng.random((240, 400)) < 0.1)
    model = load_model(args.model)
    paper, picture = PaperGenerator(2, in_channels=1, out_channels=1).eval(), torch.rand(PICTURE)
    tasks: dict[str, Callable[[], object]] = {
        "published": lambda: paper(picture),
        "shipped": lambda: model.deconvolve(mosaic, uncertainty=False, force=True),
    }
    with torch.inference_mode():
        clock, processor = take_turns(tasks, args.rounds)
        replicas, _ = take_turns({"": lambda: model.deconvolve(mosaic, force=True)}, max(1, args.rounds // 3))
    times, of_processor = (
        statistics.median(b / a for a, b in zip(seconds["shipped"], seconds["published"], strict=True))
        for seconds in (clock, processor)
    )
    seconds = statistics.median(clock["shipped"])
    members = f"{len(model.card.keys('deconvolve'))} member(s), {args.threads} threads"
    rows = [
        Row(
            name="240 × 400 mosaic, shipped model, beside the generator of the published size",
            value=seconds,
            reference=statistics.median(clock["published"]),
            reference_name="published",
            ratio=times,
            target="≥ 2.5×",
            met=times >= 2.5,
            note=f"{members}; {of_processor:.2f}× in processor time",
        ),
        Row(name="the same, in seconds", value=seconds, target="≤ 0.5 s", met=seconds <= 0.5),
        Row(name="the same with error bars, 16 replicas", value=statistics.median(replicas[""])),
    ]
    return finish(rows, "translation")


if __name__ == "__main__":
    sys.exit(main())
