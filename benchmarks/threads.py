"""What threads and memory cost a translation: main thread or worker, one or two threads, Mantid's malloc.

    python benchmarks/threads.py [--rounds 3] [--replicas 2] [--busy 1] [--json]

A 240 × 400 mosaic is translated with errors by a shipped model, each case in a process of its own, the cases
in turns. Ratios of processor time and the counts of page faults say more than the clock on a shared machine.

Two causes make the same translation several times slower in one place than in another:

- **Waiting threads that keep their cores busy.** GNU's OpenMP (in torch from PyPI on Linux) lets a thread
  that waits at the end of a layer spin for 300 000 turns, some milliseconds, unless the process holds more
  OpenMP threads than there are cores: then for 1000, after which it sleeps. Beside other work the spinning
  thread takes its core from the thread it waits for. So two threads are slower than one, and take two to four
  times the processor time. A worker thread was fast only where the main thread had used torch before: its
  sleeping team made the count large enough. In a fresh process both are slow. `short_waits`
  sees to the count; "waits long" is the same translation without it.
- **Pages of new memory.** The framework of Mantid calls ``mallopt(M_MMAP_THRESHOLD, 32768)`` at its start:
  from then on each larger array is memory that the system has just cleared, and goes back when it is freed.
  Without the call, too, arrays above 32 MB do so. Networks now change a layer's result in place where no
  gradient is recorded: half of the pages.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from itertools import product

from table import Row, finish

M_MMAP_THRESHOLD = -3
"""The number of the option in glibc's malloc.h."""
MANTID_THRESHOLD = 8 * 4096
"""Bytes, as in Mantid's Framework/Kernel/src/Memory.cpp."""
Figures = dict[str, float]
Case = tuple[str, int, str]
"""Where it runs, torch threads, and what is changed about the process."""
PLAIN: Case = ("main", 1, "plain")
CASES: tuple[Case, ...] = (
    *product(("main", "worker"), (1, 2), ("plain", "mallopt", "busy")),
    *product(("main", "worker"), (2,), ("waits long, busy",)),
)


def child(case: Case, replicas: int) -> None:
    """Print the figures of one translation as JSON, after a shorter one that does not count."""
    where, threads, change = case
    if change == "mallopt":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MANTID_THRESHOLD)
    import numpy as np
    import torch

    from mantid_exp2sim import load_model
    from mantid_exp2sim.domain import features
    from mantid_exp2sim.inference import translate
    from mantid_exp2sim.mosaic import mosaic_histogram

    if change.startswith("waits long"):
        features.short_waits = translate.short_waits = nullcontext
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    intensity = rng.gamma(1.0, 8.0, (240, 400))
    mosaic = mosaic_histogram(intensity, variance=0.7 * intensity, mask=rng.random((240, 400)) < 0.1)
    model = load_model("pcsmo-maps")

    def run() -> None:
        model.deconvolve(mosaic, force=True, uncertainty=False)
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        model.deconvolve(mosaic, force=True, replicas=replicas)
        after = resource.getrusage(resource.RUSAGE_SELF)
        figures = {
            "clock": time.perf_counter() - start,
            "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "faults": float(after.ru_minflt - before.ru_minflt),
        }
        print(json.dumps(figures))

    if where == "main":
        run()
        return
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def measure(case: Case, replicas: int, busy: int) -> Figures:
    """The figures of one case in a new process, beside ``busy`` other processes where it asks for them."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(busy if case[2].endswith("busy") else 0)
    ]
    try:
        command = [sys.executable, __file__, "--child", json.dumps(case), "--replicas", str(replicas)]
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    finally:
        for other in others:
            other.kill()
            other.wait()
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--busy", type=int, default=1, help="other processes on a machine kept busy")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, args.replicas)
        return
    runs: dict[Case, list[Figures]] = {case: [] for case in CASES}
    for _ in range(args.rounds):
        for case in CASES:
            runs[case].append(measure(case, args.replicas, args.busy))

    def middle(case: Case, figure: str) -> float:
        return statistics.median(figures[figure] for figures in runs[case])

    rows = []
    for case in CASES:
        where, threads, change = case
        clock, faults = middle(case, "clock"), middle(case, "faults")
        rows.append(
            Row(
                name=f"{where} thread, torch threads: {threads}, {change}",
                value=middle(case, "processor"), unit="s CPU",
                reference=middle(PLAIN, "processor"), reference_name="one thread",
                note=f"{clock:.2f} s by the clock, {faults / 1000:.0f} thousand page faults",
            )
        )  # fmt: skip
    finish(rows, "threads and memory of a translation")


if __name__ == "__main__":
    main()
