"""One training step of the paper's networks: ours beside a straightforward implementation.

    OMP_NUM_THREADS=2 python benchmarks/training.py [--size 256] [--repeats 3] [--json]

The same networks, losses, batch and input in one process; the ways take turns, medians are compared. A step
at 256 × 256 takes many seconds on a CPU. On a machine that does other work too the ratio of the CPU times,
in the note, is the one to look at.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from reference_dclgan import Reference
from table import Row, finish

from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.training.config import GanConfig
from mantid_exp2sim.training.datasets.sampler import Samples
from mantid_exp2sim.training.trainers.translator import DIRECTIONS, DualGan, stack

TARGET = 1.3
Seconds = dict[str, list[float]]


class Fixed:
    """A domain of one sample: (1, size, size, 1)."""

    def __init__(self, size: int, number: int) -> None:
        draws = torch.Generator().manual_seed(number)
        x = torch.rand(1, size, size, 1, generator=draws)
        self.scaling = Scaling(kind="asinh", intensity_scale=1.0, gain=1.0)
        self.samples = Samples(
            x=x, mask=torch.zeros_like(x), ei=torch.tensor([50.0]), label=torch.tensor([number % 2])
        )

    def at(self, step: int) -> Samples:
        """The same at every step."""
        return self.samples


def dual_gan(size: int, *, precision: str = "float32", width: int = 64, blocks: int = 9) -> DualGan:
    """Our dual GAN with the paper's networks and losses."""
    config = GanConfig.model_validate(
        {
            "data": {"folder": "."},
            "network": {
                "preset": "paper",
                "width": width,
                "blocks": blocks,
                "discriminator_width": width,
                "layout": {"dimension": 2, "energy": "separate"},
            },
            "loss": {"preset": "paper"},
            "schedule": {"steps": 100, "batch": 1},
            "run": {"precision": precision},
        }
    )
    domains = {name: Fixed(size, number) for number, name in enumerate(DIRECTIONS)}
    return DualGan(config, domains, None)  # type: ignore[arg-type]


def reference_for(gan: DualGan) -> tuple[Reference, Callable[[], dict[str, float]]]:
    """The plain implementation on the same sample, and its step."""
    network = gan.config.network.generator
    assert network.width is not None
    assert network.blocks is not None
    reference = Reference(gan.layout.in_channels, width=network.width, blocks=network.blocks)
    a, b = (stack(gan.domains[name].at(0), gan.layout) for name in DIRECTIONS)
    inputs = a.x.contiguous(), b.x.contiguous(), int(a.label), int(b.label)
    return reference, lambda: reference.step(*inputs)


def alternate(ways: dict[str, Callable[[], object]], repeats: int) -> tuple[Seconds, Seconds]:
    """Seconds and CPU seconds of each way, after one step that does not count; rounds run all of them."""
    wall: Seconds = {name: [] for name in ways}
    cpu: Seconds = {name: [] for name in ways}
    for round_number in range(repeats + 1):
        for name, step in ways.items():
            start = time.perf_counter(), time.process_time()
            step()
            took = time.perf_counter() - start[0], time.process_time() - start[1]
            print(f"{name}: {took[0]:.2f} s, {took[1]:.2f} s by CPU time", file=sys.stderr, flush=True)
            if round_number:
                wall[name].append(took[0])
                cpu[name].append(took[1])
    return wall, cpu


def paired(seconds: Seconds, name: str) -> float:
    """Median over the rounds of the plain way's time over another's."""
    return statistics.median(p / o for p, o in zip(seconds["plain"], seconds[name], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    plain, half = dual_gan(args.size), dual_gan(args.size, precision="bfloat16")
    reference, step = reference_for(plain)
    wall, cpu = alternate(
        {
            "plain": step,
            "float32": lambda: plain.train_step(0),
            "bfloat16": lambda: half.train_step(0),
        },
        args.repeats,
    )
    middle = {name: statistics.median(values) for name, values in wall.items()}
    size = f"{args.size} × {args.size}"
    note = f"{reference.parameters() / 1e6:.1f} M parameters, {torch.get_num_threads()} threads; by CPU time "
    finish(
        [
            Row(
                name=f"training step, paper, {size}, {name}",
                value=middle[name],
                reference=middle["plain"],
                reference_name="plain PyTorch, float32",
                ratio=paired(wall, name),
                target=f"≥ {TARGET}" if name == "float32" else "",
                met=paired(wall, name) >= TARGET if name == "float32" else None,
                note=f"{note}{statistics.median(cpu[name]):.2f} s, ratio {paired(cpu, name):.2f}",
            )
            for name in ("float32", "bfloat16")
        ]
    )


if __name__ == "__main__":
    main()
