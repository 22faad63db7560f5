"""Time of one simulated mosaic on one core, beside the published one and the plain 32 × 32 diagonalisation.

    OMP_NUM_THREADS=1 python benchmarks/simulation.py      (as `make bench` does)

Prints seconds and ratios of one run; nothing is asserted, since machines are shared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from mantid_exp2sim.training.simulation import manganite, spectrum, spinwave

PUBLISHED = {"convolved": 720 * 60.0, "integrated": 8 * 60.0, "centre": 8 * 60.0}
"""CPU seconds of the published simulation (Anker et al. 2023)."""


def median(task: Callable[[], object], runs: int = 5) -> float:
    task()  # instrument tables, form factors and blur matrices are made once per process
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    model = "Goodenough"
    parameters = manganite.BEST_FIT[model]
    print(f"{'one mosaic, one core':34s} {'seconds':>8s} {'published / ours':>17s}")
    convolved = median(lambda: spectrum.mosaic_volumes(spectrum.spin_waves(model, parameters)))
    print(f"{'convolved':34s} {convolved:8.3f} {PUBLISHED['convolved'] / convolved:17.0f}")
    for kind in ("integrated", "centre"):

        def both(kind: spectrum.Kind = kind) -> None:  # type: ignore[assignment]
            waves = spectrum.spin_waves(model, parameters)
            spectrum.mosaic_volumes(waves)
            spectrum.mosaic_volumes(waves, kind)

        more = median(both) - convolved
        print(
            f"{kind + ', after the convolved one':34s} {more:8.3f} {PUBLISHED[kind] / max(more, 1e-3):17.0f}"
        )
    q = np.random.default_rng(0).random((400, 3))
    structure, bonds, anisotropy = manganite.general_structure(model, parameters)
    general = median(lambda: spinwave.solve(structure, bonds, q, anisotropy=anisotropy)) / len(q)
    reduced = median(lambda: manganite.solve_reduced(model, parameters, q[:, :2])) / len(q)
    print(f"spin waves per q: 32 × 32 {1e6 * general:.0f} µs, two 8 × 8 {1e6 * reduced:.0f} µs, ", end="")
    print(f"ratio {general / reduced:.1f}")


if __name__ == "__main__":
    main()
