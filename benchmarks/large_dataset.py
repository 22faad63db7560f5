"""A data set larger than memory: peak memory and step time beside a small one that is held in memory.

Makes a set of 50 GB (volumes of 256 x 256 x 128 bins) and trains a small 3D dual GAN on patches of it, each
run in a process of its own. Most of its chunks are never written, so HDF5 reads them as a constant and the
set takes little room on the disk: what is measured is memory and the cost of finding and reading patches,
not the disk.

    python benchmarks/large_dataset.py [--gigabytes 50] [--steps 100] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from table import Row, finish

LARGE, SMALL = (256, 256, 128), (48, 48, 48)
CHUNK = 32
PER_SHARD = 1
"""Below 64 MiB a table of which little is stored is no damaged one."""
LIMIT = 2.0
"""GB of memory that training on the large set may take."""
REAL = 2
"""Volumes of each domain that are written out."""

RECIPE = """
kind = "translator"
[data]
folder = "{folder}"
memory = {memory}
patch = [16, 16, 16]
augment = ["h", "k"]
noise = {{ counting = [0.0, 0.1] }}
[network]
width = 4
blocks = 1
discriminator_width = 4
layout = {{ dimension = 3, energy = "axis" }}
[losses]
adversarial = {{ weight = 1.0, kind = "least_squares" }}
identity = {{ weight = 1.0 }}
auxiliary = {{ weight = 0.1 }}
cycle = {{ weight = 5.0 }}
flux = {{ weight = 1.0 }}
[schedule]
steps = {steps}
batch = 2
[validation]
checks = 1
count = 8
"""

TRAIN = """
import json, resource, sys
from pathlib import Path
from mantid_exp2sim.training.trainers.train import train
train(Path(sys.argv[1]), out=Path(sys.argv[2]))
status = json.loads((Path(sys.argv[2]) / "status.json").read_text())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"peak_bytes": peak, "seconds_per_step": status["seconds"] / status["step"]}))
"""


def make(folder: Path, shape: tuple[int, int, int], count: int) -> None:
    """A data set of ``count`` volumes in each domain, of which a few are written out."""
    (folder / "shards").mkdir(parents=True)
    kinds = ("convolved", "integrated")
    for kind in kinds:
        for shard in range(-(-count // PER_SHARD)):
            rows = min(PER_SHARD, count - shard * PER_SHARD)
            write_shard(
                folder / "shards" / f"{kind}-{shard:05d}.h5", shape, rows, real=REAL if shard == 0 else 0
            )
    axes = [
        {"kind": "h", "width": 0.02},
        {"kind": "k", "width": 0.02},
        {"kind": "energy", "width": 0.01, "relative_to_incident_energy": True},
    ]
    described = {
        "format": 2,
        "recipe": {"name": folder.name},
        "classes": ["unknown"],
        "kinds": kinds,
        "shape": [1, *shape],
        "incident_energies": [50.0],
        "axes": axes,
        "count": 2 * count,
        "splits": {},
        "domains": {kind: {"items": [item(number, count) for number in range(count)]} for kind in kinds},
    }
    (folder / "dataset.json").write_text(json.dumps(described))


def write_shard(path: Path, shape: tuple[int, int, int], rows: int, *, real: int) -> None:
    chunks = (1, 1, *(min(CHUNK, n) for n in shape))
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        values = file.create_dataset("values", (rows, 1, *shape), "f4", chunks=chunks, fillvalue=1.0)
        file.create_dataset("mask", (rows, 1, *shape), "u1", chunks=chunks, fillvalue=0)
        for row in range(min(real, rows)):
            values[row, 0] = rng.exponential(size=shape[:2])[..., None] * np.ones(shape[2], np.float32)


def item(number: int, count: int) -> dict[str, object]:
    return {
        "file": f"{number}.nxs",
        "shard": number // PER_SHARD,
        "row": number % PER_SHARD,
        "group": number,
        "incident_energy": 50.0,
        "split": "train" if number < max(count - 4, 2) else "validation",
    }


def train(folder: Path, out: Path, *, memory: bool, steps: int) -> dict[str, float]:
    """Train in a process of its own: peak memory and time of a step."""
    recipe = out.with_suffix(".toml")
    recipe.write_text(RECIPE.format(folder=folder, memory=str(memory).lower(), steps=steps))
    command = [sys.executable, "-c", TRAIN, str(recipe), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(gigabytes: float, steps: int) -> list[Row]:
    volume = 4 * int(np.prod(LARGE))
    count = max(REAL, round(gigabytes * 1e9 / volume / 2))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "large", LARGE, count)
        make(folder / "small", SMALL, 16)
        on_disk = sum(path.stat().st_blocks * 512 for path in (folder / "large" / "shards").iterdir())
        large = train(folder / "large", folder / "run-large", memory=False, steps=steps)
        small = train(folder / "small", folder / "run-small", memory=True, steps=steps)
    size = f"{2 * count * volume / 1e9:.0f} GB of intensities, {2 * count} volumes"
    return [
        Row(
            name=f"training on {size}: peak memory",
            value=large["peak_bytes"] / 1e9,
            unit="GB",
            reference=small["peak_bytes"] / 1e9,
            reference_name="a small set held in memory",
            target=f"≤ {LIMIT} GB",
            met=large["peak_bytes"] / 1e9 <= LIMIT,
            note=f"{on_disk / 1e9:.2f} GB on the disk",
        ),
        Row(
            name=f"training on {size}: one step",
            value=large["seconds_per_step"],
            reference=small["seconds_per_step"],
            reference_name="a small set held in memory",
            note=f"{steps} steps",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--gigabytes", type=float, default=50.0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    return finish(measure(args.gigabytes, args.steps), "a data set larger than memory")


if __name__ == "__main__":
    sys.exit(main())
