"""Files per second in a batch against one command for each file, with bad files among them.

    python benchmarks/many_files.py [--files 500] [--bad 20] [--alone 5] [--jobs 1]

Small (h, k, E) volumes are sharpened by the known resolution. One at a time is measured on the first few
files, each in a process of its own; both in the same run, so that the ratio does not depend on the machine.
In the middle of the batch its process is killed and the batch started again.
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

from mantid_exp2sim import Axis, Histogram, load, save

OPTIONS = (
    *("--method", "richardson-lucy", "--instrument", "MERLIN", "--incident-energy", "24"),
    *("--lattice", "4.2", "4.2", "13.8", "--no-uncertainty"),
)


def make_files(folder: Path, count: int, bad: int) -> list[Path]:
    """Write volumes of noise; the last ``bad`` are cut off in the middle."""
    rng = np.random.default_rng(0)
    axes = [
        Axis("[H,0,0]", np.linspace(-1, 1, 9), "r.l.u.", "HKL"),
        Axis("[0,K,0]", np.linspace(-1, 1, 9), "r.l.u.", "HKL"),
        Axis("DeltaE", np.linspace(3, 12, 7), "meV"),
    ]
    folder.mkdir()
    paths = [folder / f"{number:04d}.nxs" for number in range(count)]
    for path in paths:
        values = rng.gamma(2.0, 1.0, (8, 8, 6))
        save(Histogram.from_arrays(values, axes, 0.1 * values), path)
    for path in paths[count - bad :]:
        path.write_bytes(path.read_bytes()[:400])
    return paths


def command(*arguments: str) -> list[str]:
    """Return a command line of deconvolve."""
    return [sys.executable, "-m", "mantid_exp2sim", "deconvolve", *arguments, *OPTIONS]


def kill_in_the_middle(batch: list[str], out: Path, results: int) -> dict[str, int]:
    """Start a batch, kill it after so many results; say what is left and whether all of it is whole."""
    process = subprocess.Popen(batch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.glob("[0-9]*.nxs"))) < results:
        time.sleep(0.05)
    process.kill()
    process.wait()
    left = list(out.glob("[0-9]*.nxs"))
    return {"results": len(left), "whole": sum(load(path).ndim == 3 for path in left)}


def measure(files: int, bad: int, alone: int, jobs: int) -> dict[str, object]:
    """Measure both ways in a folder that goes again."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        paths = make_files(room / "in", files, bad)
        start = time.perf_counter()
        for path in paths[:alone]:
            subprocess.run(
                command(str(path), str(room / f"{path.stem}.npz")), check=True, capture_output=True
            )
        seconds_alone = (time.perf_counter() - start) / alone
        out = room / "out"
        batch = command(*map(str, paths), "--out-dir", str(out), "--jobs", str(jobs), "--json")
        left = kill_in_the_middle(batch, out, (files - bad) // 2)
        start = time.perf_counter()
        again = subprocess.run(batch, check=False, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        report = json.loads(again.stdout)
    done = report["done"] + report["failed"]
    return {
        "files": files,
        "left after the kill": left,
        "second run": {key: report[key] for key in ("done", "skipped", "failed")},
        "exit status": again.returncode,
        "files per second, batch": round(done / seconds, 3),
        "files per second, one at a time": round(1 / seconds_alone, 3),
        "ratio": round(done / seconds * seconds_alone, 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("files", 500), ("bad", 20), ("alone", 5), ("jobs", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
