"""A small made-up data set in the layout of the real one."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter

SHAPE = (2, 8, 8, 3)
COUNT, SHARD = 28, 10


def write_dataset(folder: Path, *, count: int = COUNT, seed: int = 0) -> Path:
    """Write mosaics of two volumes of 8×8×3 bins, sharp and blurred, of two classes."""
    rng = np.random.default_rng(seed)
    (folder / "shards").mkdir(parents=True)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 3:5, 3:5] = True
    mask[1, :2, :, 2] = True
    np.save(folder / "mask.npy", mask)
    for start in range(0, count, SHARD):
        size = min(SHARD, count - start)
        label = np.arange(start, start + size) % 2
        noise = rng.gamma(1.5, 0.7, size=(size, *SHAPE))
        target = np.stack(
            [
                gaussian_filter(one, (0, 1.5, 0.2, 0) if kind else (0, 0.4, 0.4, 0.4))
                for one, kind in zip(noise, label, strict=True)
            ]
        )
        target[label == 1, ..., 2] *= 4
        with h5py.File(folder / "shards" / f"{start // SHARD:05d}.h5", "w") as file:
            file["integrated"] = file["centre"] = target.astype(np.float32)
            file["convolved"] = gaussian_filter(target, (0, 0, 0.8, 0.8, 0)).astype(np.float32)
            file["label"] = label.astype(np.int64)
            file["parameters"] = rng.normal(size=(size, 6))
            file["index"] = np.arange(start, start + size)
    description = {
        "format": 1,
        "recipe": {},
        "seed": seed,
        "classes": ["Dimer", "Goodenough"],
        "kinds": ["convolved", "integrated", "centre"],
        "shape": list(SHAPE),
        "incident_energies": [25.0, 35.0],
        "edges": {},
        "count": count,
        "shard_size": SHARD,
        "splits": {"train": [0, count - 8], "validation": [count - 8, count - 4], "test": [count - 4, count]},
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
