"""Run all benchmarks, one after the other, each in a process of its own, into one table: `make bench`.

    python benchmarks/run_all.py [NAME ...] [--json]

NAMEs are those of the files; default: all. Every ratio is to a reference measured in the same run. The
machine's load is told, since times taken beside other work mean little. The exit status is 1 where a target
is missed or a benchmark crashes.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from table import Row, finish, rows_of

HERE = Path(__file__).resolve().parent
NO_BENCHMARKS = ("run_all", "table")
CORES = {"translation": "2"}
"""Cores of what is meant for more than one; the others take one."""


def rows(program: Path) -> list[Row]:
    """Run one benchmark: its rows, and one of a missed target where it crashed."""
    threads = CORES.get(program.stem, "1")
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    print(f"{program.stem} ...", file=sys.stderr, flush=True)
    command = [sys.executable, str(program), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    measured = rows_of(done.stdout)
    if measured and (done.returncode == 0 or any(row.met is False for row in measured)):
        return measured
    last = (done.stderr.strip().splitlines() or ["it printed no rows"])[-1]
    return [*measured, Row(name=f"{program.stem} crashed", value=None, unit="", met=False, note=last)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the benchmarks are")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    args = parser.parse_args()
    programs = {
        path.stem: path for path in sorted(args.folder.glob("*.py")) if path.stem not in NO_BENCHMARKS
    }
    if unknown := [name for name in args.names if name not in programs]:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose among {', '.join(programs)}")
    load = os.getloadavg()[0]
    measured = [row for name in args.names or programs for row in rows(programs[name])]
    about = f"{os.cpu_count()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    return finish(measured, f"{platform.machine()}, Python {platform.python_version()}: {about}")


if __name__ == "__main__":
    sys.exit(main())
