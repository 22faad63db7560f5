"""Peak memory and time of a translation, each in a process of its own, and how they grow with the volume.

    python benchmarks/memory.py [--sizes 100 200 400] [--json]

Counted is what a translation needs above the model, the input (intensity, variance, mask) and the output
(intensity, variance). A network of two channels is enough for that, and makes 400³ bins a matter of minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from table import Row, finish

LAYOUTS = {
    "dimension 2, one energy at a time": {"dimension": 2, "energy": "separate"},
    "dimension 3": {"dimension": 3, "energy": "axis"},
}
LIMIT = 2.0
"""GB above input and output that a 400³ volume may take."""


def peak_reset() -> None:
    """Let the kernel count the peak of this process from here on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory(field: str) -> float:
    """``VmRSS`` or ``VmHWM`` of this process in GB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e9
    raise RuntimeError(f"the kernel does not tell {field}")


def volume(size: int):  # type: ignore[no-untyped-def]
    """A cube of measured bins with a hole, without a copy of its arrays."""
    from mantid_exp2sim.histogram import Axis, Histogram

    mask = np.zeros((size,) * 3, dtype=bool)
    mask[size // 3 : size // 2, size // 3 : size // 2] = True
    intensity = np.empty((size,) * 3)
    row = 5 + np.sin(np.arange(size))
    for h in range(size):
        np.multiply.outer(row * (2 + np.cos(h)), row, out=intensity[h])
    intensity[mask] = np.nan
    variance = intensity.copy()
    for array in (mask, intensity, variance):
        array.flags.writeable = False
    edges = np.arange(size + 1) * 2 / 39
    axes = (
        Axis("[H,0,0]", edges, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", edges, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", 3.0 * np.arange(1, size + 2), unit="meV", frame="General Frame"),
    )
    return Histogram(intensity, variance, mask, axes, {"incident_energy": 50.0})


def make_model(folder: Path, layout: dict[str, object], width: int):  # type: ignore[no-untyped-def]
    from mantid_exp2sim.application.model import Model
    from mantid_exp2sim.model.bundle import load_bundle, save_bundle
    from mantid_exp2sim.model.card import Card, mosaic_axes
    from mantid_exp2sim.networks import build_generator

    card = Card.model_validate(
        {
            "name": "memory",
            "scaling": {},
            "layout": layout,
            "axes": mosaic_axes(windows_fixed=False),
            "incident_energies": (50.0,),
            "generator": {"width": width, "blocks": 1},
        }
    )
    save_bundle(folder, card, {"deconvolve": build_generator(card.generator, card.layout)})
    return Model(load_bundle(folder))


def child(size: int, layout: dict[str, object], replicas: int, width: int) -> None:
    """Print the figures of one size as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "m", layout, width)
        model.deconvolve(volume(24), uncertainty=False)  # libraries and threads are there
    data = volume(size)
    options = {"replicas": replicas} if replicas else {"uncertainty": False}
    before, wide, late = memory("VmRSS"), [], [time.perf_counter()]

    def progress(done: int, total: int, message: str) -> None:
        now = time.perf_counter()
        wide.append(now - late[0])
        late[0] = now

    peak_reset()
    start = time.perf_counter()
    cpu = time.process_time()
    result = model.deconvolve(data, progress=progress, **options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    output = (result.intensity.nbytes + result.variance.nbytes) / 1e9
    figures = {
        "above": memory("VmHWM") - before - output,
        "output": output,
        "seconds": seconds,
        "cpu": cpu,
        "longest_silence": max(wide),
    }
    print(json.dumps(figures))


def measure(size: int, layout: dict[str, object], replicas: int, width: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", json.dumps([size, layout, replicas, width])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--width", type=int, default=2, help="channels of the network")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(*args.child)
        return 0
    rows: list[Row] = []
    for name, layout in LAYOUTS.items():
        first: dict[str, float] | None = None
        for size in args.sizes:
            figures = measure(size, layout, 0, args.width)
            first = first or figures
            bins = (size / args.sizes[0]) ** 3
            rows += [
                Row(
                    name=f"{size}³, {name}: above input and output", value=figures["above"], unit="GB",
                    reference=figures["output"], reference_name="output", ratio=None,
                    target=f"≤ {LIMIT:g} GB" if size == 400 else "",
                    met=figures["above"] <= LIMIT if size == 400 else None,
                ),
                Row(
                    name=f"{size}³, {name}: time", value=figures["cpu"], unit="s CPU",
                    note=f"{figures['cpu'] / (first['cpu'] * bins):.2f} × that of {args.sizes[0]}³ per bin; "
                    f"progress told at least every {figures['longest_silence']:.1f} s",
                ),
            ]  # fmt: skip
        figures = measure(args.sizes[0], layout, 3, args.width)
        rows.append(
            Row(name=f"{args.sizes[0]}³, {name}, errors of 3 replicas", value=figures["above"], unit="GB")
        )
    return finish(rows, "memory")


if __name__ == "__main__":
    sys.exit(main())
