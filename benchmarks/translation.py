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
import time
from collections.abc import Callable
from math import prod

import numpy as np
import torch
from reference_dclgan import Generator as PlainGenerator
from table import Row, finish
from torch import Tensor, nn

from mantid_exp2sim.model.bundle import load_model
from mantid_exp2sim.mosaic import mosaic_histogram
from mantid_exp2sim.networks import GeneratorSettings, build_generator
from mantid_exp2sim.networks.generator import PaperGenerator
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.networks.winograd import use_winograd

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


def convolutions(network: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    parts = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    return parts, [copy.deepcopy(part) for part in parts]


def plain_paper(ours: nn.Module) -> nn.Module:
    """The published generator from torch's own parts, with the weights of ours."""
    plain = PlainGenerator(1)
    for one, other in zip(convolutions(plain)[0], convolutions(ours)[0], strict=True):
        one.load_state_dict(other.state_dict())
    return plain.eval().requires_grad_(False)


def convolutions_alone(network: nn.Module, x: Tensor) -> tuple[Callable[[], None], float]:
    """A task that does nothing but the convolutions of one pass, and their arithmetic in GFLOP."""
    calls: list[tuple[nn.Module, Tensor]] = []
    work = 0.0

    def note(part: nn.Module, inputs: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal work
        calls.append((part, inputs[0].clone(memory_format=torch.preserve_format)))
        work += 2e-9 * prod(part.weight.shape[1:]) * made.numel()  # type: ignore[union-attr, arg-type]

    hooks = [part.register_forward_hook(note) for part in convolutions(network)[0]]
    network.infer(x)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()

    def run() -> None:
        for part, given in calls:
            part(given)

    return run, work


def error(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other).abs().max() / other.abs().max())


def main() -> None:
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

    paper = PaperGenerator(2, in_channels=1, out_channels=1).eval().requires_grad_(False)
    for part in convolutions(paper)[0]:
        nn.init.normal_(part.weight, std=0.03)  # type: ignore[arg-type]
    plain = plain_paper(paper)
    x = torch.rand(PICTURE)
    fewer = copy.deepcopy(paper)
    use_winograd(fewer)
    fewer.prepare()
    half = copy.deepcopy(paper).to(torch.bfloat16).prepare()
    x_half = x.to(torch.bfloat16)

    volume_layout = Layout(dimension=3, energy="axis")
    volume_net = build_generator(GeneratorSettings(width=16), volume_layout).eval().requires_grad_(False)
    nn.init.normal_(volume_net.last.weight, std=0.03)  # type: ignore[union-attr, arg-type]
    cube = torch.rand(1, volume_layout.in_channels, 60, 60, 60)
    plain_volume_net = copy.deepcopy(volume_net)

    with torch.inference_mode():
        only, work = convolutions_alone(paper.prepare(), x)
        off = error(paper.infer(x), plain(x))
        off_fewer = error(fewer.infer(x), plain(x))
        off_half = error(half.infer(x_half), plain(x))
        volume_net.prepare()
        off_cube = error(volume_net.infer(cube), plain_volume_net(cube))
        tasks: dict[str, Callable[[], object]] = {
            "plain": lambda: plain(x),
            "shipped": lambda: model.deconvolve(mosaic, errors=False, force=True),
            "ours": lambda: paper.infer(x),
            "convolutions": only,
            "winograd": lambda: fewer.infer(x),
            "half": lambda: half.infer(x_half),
            "cube": lambda: volume_net.infer(cube),
            "plain cube": lambda: plain_volume_net(cube),
        }
        seconds, processor = take_turns(tasks, args.rounds)
        errors, _ = take_turns(
            {"errors": lambda: model.deconvolve(mosaic, force=True)}, max(1, args.rounds // 3)
        )
    middle = {name: statistics.median(values) for name, values in (seconds | errors).items()}

    def ratio(one: str, other: str) -> float:
        return statistics.median(b / a for a, b in zip(seconds[one], seconds[other], strict=True))

    def cpu(one: str, other: str) -> str:
        ratios = [b / a for a, b in zip(processor[one], processor[other], strict=True)]
        return f"{statistics.median(ratios):.2f}× in processor time"

    keys = model.card.keys("deconvolve")
    speed = work / statistics.median(processor["convolutions"])
    rows = [
        Row(
            name="240 × 400 mosaic, shipped model", value=middle["shipped"], reference=middle["plain"],
            reference_name="paper-size generator, plain", ratio=ratio("shipped", "plain"),
            target="≤ 0.5 s, ≥ 2.5×", met=middle["shipped"] <= 0.5 and ratio("shipped", "plain") >= 2.5,
            note=f"{len(keys)} member(s), {args.threads} threads, {cpu('shipped', 'plain')}",
        ),
        Row(name="the same with errors, 16 replicas", value=middle["errors"]),
        Row(
            name="paper-size generator, our path", value=middle["ours"], reference=middle["plain"],
            reference_name="plain", ratio=ratio("ours", "plain"), target="≥ 1.5×, or the floor",
            met=ratio("ours", "plain") >= 1.5,
            note=f"the same to {off:.1e} of the largest value, {cpu('ours', 'plain')}",
        ),
        Row(
            name="its floor: the convolutions alone", value=middle["convolutions"], reference=middle["plain"],
            reference_name="plain", ratio=ratio("convolutions", "plain"),
            note=f"{work:.1f} GFLOP at {speed:.0f} GFLOP/s and core, {cpu('convolutions', 'plain')}",
        ),
        Row(
            name="Winograd's convolutions (training's)", value=middle["winograd"], reference=middle["plain"],
            reference_name="plain", ratio=ratio("winograd", "plain"),
            note=f"the same to {off_fewer:.1e}, {cpu('winograd', 'plain')}",
        ),
        Row(
            name="bfloat16 (not used)", value=middle["half"], reference=middle["plain"],
            reference_name="plain", ratio=ratio("half", "plain"),
            note=f"differs by {off_half:.1e}, {cpu('half', 'plain')}",
        ),
        Row(
            name="60³ volume, dimension 3, width 16", value=middle["cube"], reference=middle["plain cube"],
            reference_name="plain", ratio=ratio("cube", "plain cube"),
            note=f"the same to {off_cube:.1e}, {cpu('cube', 'plain cube')}",
        ),
    ]  # fmt: skip
    finish(rows, "translation")


if __name__ == "__main__":
    main()
