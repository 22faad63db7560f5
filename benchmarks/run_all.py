"""All benchmarks, one after the other, each in a process of its own, in one table: what `make bench` prints.

    python benchmarks/run_all.py [NAME ...] [--json]

NAMEs are those of the files; default: all that give rows. Every ratio is to a reference measured in the same
run. The machine's load is told, since times taken beside other work mean little.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from table import Row, finish, rows_of

HERE = Path(__file__).resolve().parent
ALL = (
    "simulation",
    "translation",
    "training",
    "imports",
    "import_algorithms",
    "memory",
    "large_dataset",
)
THREADS = {"translation": "2", "training": "2"}
"""Cores of what is meant for more than one; the others take one."""


def rows(name: str) -> list[Row]:
    """The rows of one benchmark, or one row that says why there are none."""
    path = HERE / f"{name}.py"
    threads = THREADS.get(name, "1")
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, str(path), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=HERE.parent,
    )
    found = rows_of(done.stdout)
    if found:
        return found
    last = (done.stderr.strip().splitlines() or ["it printed no rows"])[-1]
    return [Row(name=name, value=float("nan"), unit="", met=False, note=last)]


def main() -> int:
    chosen = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    names = [name for name in chosen or ALL if (HERE / f"{name}.py").is_file()]
    load = os.getloadavg()[0]
    found = [row for name in names for row in rows(name)]
    about = f"{os.cpu_count()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    finish(found, f"{platform.machine()}, Python {platform.python_version()}: {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
