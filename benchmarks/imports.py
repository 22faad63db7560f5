"""Time to import the package and to show its help, each in a Python of its own, and what that imports.

python benchmarks/imports.py [--json]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from table import Row, finish

LIMIT = 0.3
HEAVY = ("torch", "ot", "matplotlib", "h5py", "scipy")
IMPORT = "import mantid_exp2sim"
HELP = """
from contextlib import suppress
from mantid_exp2sim.cli import main
with suppress(SystemExit):
    main(["--help"])
"""
TELL = f"""
import sys
print("HEAVY", *(name for name in {HEAVY} if name in sys.modules))
"""


def run(code: str) -> tuple[float, float, str]:
    """Wall and CPU seconds of a new Python that runs code, and what it printed."""
    import resource

    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def row(name: str, code: str, runs: int = 7) -> Row:
    """The median above what Python itself takes; the target is for all of it."""
    measured = [run(code) for _ in range(runs)]
    plain = [run("pass") for _ in range(runs)]
    seconds, python = (statistics.median(wall for wall, _, _ in times) for times in (measured, plain))
    cpu = statistics.median(cpu for _, cpu, _ in measured)
    heavy = run(code + TELL)[2].rsplit("HEAVY", 1)[1].split()
    return Row(
        name=name,
        value=seconds,
        reference=python,
        reference_name="Python itself",
        target=f"≤ {LIMIT} s",
        met=seconds <= LIMIT and not heavy,
        note=f"by CPU time {cpu:.2f} s; imports of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}",
    )


def main() -> int:
    return finish([row("import mantid_exp2sim", IMPORT), row("exp2sim --help", HELP)], "import times")


if __name__ == "__main__":
    sys.exit(main())
