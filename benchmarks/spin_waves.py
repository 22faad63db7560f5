"""Time of the spin waves of one q by the number of spins in the magnetic cell, and of a spiral.

    OMP_NUM_THREADS=1 python benchmarks/spin_waves.py [--json]      (as `make bench` does)

A square lattice with two shells of bonds. CPU times of one run; nothing is
asserted, since machines are shared.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from table import Row, finish

from mantid_exp2sim.simulation.crystal import assemble
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.spin_waves import modes

SIZES = (1, 2, 4, 8, 16, 32, 64)
POINTS, RUNS = 64, 5


def square(columns: int, rows: int, **more: Any) -> Description:
    """A square ferromagnet in a magnetic cell of ``columns`` × ``rows``."""
    site = {"name": "M", "ion": "Mn2+", "spin": 2.5, "direction": [1, 0, 0], "positions": [[0, 0, 0]]}
    if "rotating_frame" not in more:
        site["propagation"] = [0, 0, 0]
    return Description.model_validate(
        {
            "name": "square",
            "lattice": {"a": 4, "b": 4, "c": 7},
            "magnetic_cell": [[columns, 0, 0], [0, rows, 0], [0, 0, 1]],
            "parameters": {"J1": {"value": -1.0}, "J2": {"value": -0.1}},
            "sites": [site],
            "bonds": [{"parameter": "J1", "shell": 1}, {"parameter": "J2", "shell": 2}],
            **more,
        }
    )


def microseconds(description: Description) -> float:
    """The least CPU time of one q in µs, solved many at once as the simulator does."""
    structure, bonds, anisotropy = assemble(description).hamiltonian(description.values)
    q = np.random.default_rng(0).random((POINTS, 3))
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        modes(structure, bonds, q, anisotropy=anisotropy)
        seconds.append(time.process_time() - start)
    return 1e6 * min(seconds) / POINTS


def main() -> int:
    rows = []
    for size in SIZES:
        columns = 2 ** int(np.ceil(np.log2(size) / 2))
        description = square(columns, size // columns)
        name, bonds = f"one q, cell of {size}", len(assemble(description).parameter)
        rows.append(Row(name=name, value=microseconds(description), unit="µs", note=f"{bonds} bonds"))
    helix = {"parameter": "J2", "vectors": [[1, 0, 0]], "dm": [0, 0, 1]}
    spiral = square(
        1,
        1,
        bonds=[{"parameter": "J1", "shell": 1}, helix],
        rotating_frame={"propagation": [float(np.arctan(0.1) / (2 * np.pi)), 0, 0], "axis": [0, 0, 1]},
    )
    note = "three branches, ω(q) and ω(q ± k)"
    rows.append(Row(name="one q, spiral, cell of 1", value=microseconds(spiral), unit="µs", note=note))
    return finish(rows, "Spin waves of one q, energies and amplitudes")


if __name__ == "__main__":
    sys.exit(main())
