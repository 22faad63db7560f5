"""Time of one simulated mosaic on one core, beside the published one and the plain 32 × 32 diagonalisation.

    OMP_NUM_THREADS=1 python benchmarks/simulation.py [--json]      (as `make bench` does)

Seconds and ratios of one run; nothing is asserted, since machines are shared.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from table import Row, finish

from mantid_exp2sim.simulation.binning import KINDS, mosaic_binnings
from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.manganite import BEST_FIT, solve_reduced
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import read_description, shipped
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.spin_waves import solve

PUBLISHED = {"convolved": 720 * 60.0, "integrated": 8 * 60.0, "centre": 8 * 60.0}
"""CPU seconds of the published simulation (Anker et al. 2023)."""
MODEL = "Goodenough"
LIMIT, SCALING = 0.5, 1.8
EACH = 6
"""Mosaics per process in the scaling."""


def median(task: Callable[[], object], runs: int = 5) -> float:
    task()  # instrument tables, form factors and blur matrices are made once per process
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def simulate(*kinds: str) -> None:
    """Solve the Hamiltonian once, then simulate a mosaic of each kind."""
    waves = solve_manganite(MODEL, BEST_FIT[MODEL], Options())
    for kind in KINDS:
        for binning in mosaic_binnings() if kind in kinds else ():
            waves.volume(binning, kind)


def convolved() -> None:
    simulate("convolved")


def mosaics() -> list[Row]:
    cpu = time.process_time()
    first = median(convolved)
    cpu = (time.process_time() - cpu) / 6
    rows = [
        Row(
            name="convolved mosaic, one core",
            value=first,
            reference=PUBLISHED["convolved"],
            reference_name="published",
            target=f"≤ {LIMIT} s",
            met=first <= LIMIT,
            note=f"{cpu:.2f} s by CPU time",
        )
    ]
    for kind in ("integrated", "centre"):
        more = max(median(partial(simulate, "convolved", kind)) - first, 1e-3)
        name = f"{kind} mosaic, after the convolved one"
        rows.append(Row(name=name, value=more, reference=PUBLISHED[kind], reference_name="published"))
    return rows


def solvers() -> Row:
    q = np.random.default_rng(0).random((400, 3))
    parameters = BEST_FIT[MODEL]
    described = assemble(read_description(shipped()[f"pcsmo-{MODEL.lower()}"]))
    structure, bonds, anisotropy = described.hamiltonian(parameters)
    general = median(lambda: solve(structure, bonds, q, anisotropy=anisotropy)) / len(q)
    reduced = median(lambda: solve_reduced(MODEL, parameters, q[:, :2])) / len(q)
    return Row(
        name="spin waves of one q, two 8 × 8",
        value=1e6 * reduced,
        unit="µs",
        reference=1e6 * general,
        reference_name="one 32 × 32",
    )


def work(start: object) -> tuple[float, float]:
    """In a process of its own: seconds and CPU seconds of some mosaics, begun when all are ready."""
    convolved()
    start.wait()  # type: ignore[attr-defined]
    begun = time.perf_counter(), time.process_time()
    for _ in range(EACH):
        convolved()
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def report(start: object, answers: object) -> None:
    answers.put(work(start))  # type: ignore[attr-defined]


def together(processes: int) -> tuple[float, float]:
    """The longest time and the mean CPU time of processes that simulate side by side."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=report, args=(start, answers)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    seconds = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return max(wall for wall, _ in seconds), statistics.mean(cpu for _, cpu in seconds)


def scaling() -> Row:
    alone, both = together(1), together(2)
    gain = 2 * alone[0] / both[0]
    load = os.getloadavg()[0]
    return Row(
        name=f"{2 * EACH} mosaics on two processes",
        value=both[0],
        reference=2 * alone[0],
        reference_name="one process",
        ratio=gain,
        target=f"≥ {SCALING}",
        met=gain >= SCALING,
        note=f"by CPU time {2 * alone[1] / both[1]:.2f}; {os.cpu_count()} cores, load {load:.1f}",
    )


def main() -> int:
    return finish([*mosaics(), solvers(), scaling()], "simulation")


if __name__ == "__main__":
    sys.exit(main())
