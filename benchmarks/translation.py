"""Time of a translation, beside the published generator run plainly in the same process.

    python benchmarks/translation.py [--rounds 7] [--threads 2] [--json]

All candidates take turns, so that a busy machine is busy for all; medians over the rounds. On a shared
machine ratios say more than seconds, and those of processor time (in the notes) more than those of the clock.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from reference_dclgan import Generator as PlainGenerator
from table import Row, finish
from torch import Tensor, nn

from mantid_exp2sim import load_model
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.networks import GeneratorSettings, build_generator
from mantid_exp2sim.networks.generator import PaperGenerator
from mantid_exp2sim.networks.layout import Layout

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


def convolutions(network: nn.Module) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]


def paper_generators() -> tuple[PaperGenerator, nn.Module]:
    """Our published generator, and the same weights in torch's own parts."""
    ours, plain = PaperGenerator(2, in_channels=1, out_channels=1), PlainGenerator(1)
    for source, target in zip(convolutions(ours), convolutions(plain), strict=True):
        nn.init.normal_(source.weight, std=0.03)  # type: ignore[arg-type]
        target.load_state_dict(source.state_dict())
    return ours.eval().requires_grad_(False), plain.eval().requires_grad_(False)


def volume_generators() -> tuple[nn.Module, nn.Module, Tensor]:
    """A generator of volumes, the same without preparation, and a volume for them."""
    layout = Layout(dimension=3, energy="axis")
    network = build_generator(GeneratorSettings(width=16), layout).eval().requires_grad_(False)
    nn.init.normal_(network.last.weight, std=0.03)  # type: ignore[union-attr, arg-type]
    return network, copy.deepcopy(network), torch.rand(1, layout.in_channels, 60, 60, 60)


def difference(result: Tensor, expected: Tensor) -> str:
    return f"the same to {float((result - expected).abs().max() / expected.abs().max()):.1e}"


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
    (paper, plain), (volumes, plain_volumes, cube) = paper_generators(), volume_generators()
    picture = torch.rand(PICTURE)
    with torch.inference_mode():
        paper.prepare()
        volumes.prepare()  # type: ignore[operator]
        tasks: dict[str, Callable[[], Tensor]] = {
            "plain": lambda: plain(picture),
            "ours": lambda: paper.infer(picture),
            "plain cube": lambda: plain_volumes(cube),
            "cube": lambda: volumes.infer(cube),  # type: ignore[operator]
        }
        same = difference(tasks["ours"](), tasks["plain"]())
        same_cube = difference(tasks["cube"](), tasks["plain cube"]())
        shipped = {"shipped": lambda: model.deconvolve(mosaic, uncertainty=False, force=True)}
        clock, processor = take_turns({**tasks, **shipped}, args.rounds)
        replicas, _ = take_turns({"": lambda: model.deconvolve(mosaic, force=True)}, max(1, args.rounds // 3))

    def ratio(seconds: Seconds, name: str, reference: str) -> float:
        return statistics.median(b / a for a, b in zip(seconds[name], seconds[reference], strict=True))

    def row(title: str, name: str, reference: str, note: str, least: float | None = None) -> Row:
        times = ratio(clock, name, reference)
        return Row(
            name=title,
            value=statistics.median(clock[name]),
            reference=statistics.median(clock[reference]),
            reference_name="plain",
            ratio=times,
            target=f"≥ {least}×" if least else "",
            met=times >= least if least else None,
            note=f"{note}; {ratio(processor, name, reference):.2f}× in processor time",
        )

    members = f"{len(model.card.keys('deconvolve'))} member(s), {args.threads} threads"
    seconds = statistics.median(clock["shipped"])
    rows = [
        row(
            "240 × 400 mosaic, shipped model, beside the paper-size generator",
            "shipped",
            "plain",
            members,
            2.5,
        ),
        Row(name="the same, in seconds", value=seconds, target="≤ 0.5 s", met=seconds <= 0.5),
        Row(name="the same with error bars, 16 replicas", value=statistics.median(replicas[""])),
        row("paper-size generator", "ours", "plain", same),
        row("60³ volume, dimension 3, width 16", "cube", "plain cube", same_cube),
    ]
    return finish(rows, "translation")


if __name__ == "__main__":
    sys.exit(main())
