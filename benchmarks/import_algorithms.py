"""How long the algorithms hold up Mantid's start: import of all plugin files, declaring their properties.

Every repetition is a Python of its own, in which numpy and Mantid (or, without one, the stand-in of the
tests) are imported before the clock starts. The limit is 0.3 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

from table import Row, finish

from mantid_exp2sim.mantid.probe import clean_environment
from mantid_exp2sim.mantid.user_properties import algorithm_files, algorithms_folder

LIMIT = 0.3
STAND_IN = Path(__file__).resolve().parents[1] / "tests" / "mantid_double"
CODE = """
import json, sys, time
sys.path[:] = json.loads(sys.argv[1])
start = time.perf_counter()
import numpy
from mantid.kernel import config, plugins
config["user.python.plugins.directories"] = ""  # nothing of what this machine has installed
import mantid.simpleapi
from mantid.api import AlgorithmManager
mantid_itself = time.perf_counter() - start
before = set(sys.modules)
start = time.perf_counter()
plugins.load(sys.argv[2])
imported = time.perf_counter() - start
for name in sys.argv[3:]:
    AlgorithmManager.createUnmanaged(name).initialize()
declared = time.perf_counter() - start
heavy = sorted({name.split(".")[0] for name in set(sys.modules) - before} & {"torch", "ot", "matplotlib"})
print("RESULT", json.dumps([mantid_itself, imported, declared, heavy]))
"""


def main() -> int:
    """Measure, and fail where the limit is passed or something heavy was imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    real = importlib.util.find_spec("mantid") is not None
    path = sys.path if real else [*sys.path, str(STAND_IN)]
    names = [file.stem for file in algorithm_files()]
    arguments = [json.dumps(path), str(algorithms_folder()), *names]
    rows = []
    for _ in range(args.repeat):
        run = subprocess.run(
            [sys.executable, "-c", CODE, *arguments],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        rows.append(json.loads(run.stdout.split("RESULT ")[1]))
    mantid, imported, declared = (statistics.median(row[i] for row in rows) for i in range(3))
    heavy = sorted({name for row in rows for name in row[3]})
    return finish(
        [
            Row(
                name="algorithms, imported and declared",
                value=declared,
                reference=mantid,
                reference_name=f"{'Mantid' if real else 'stand-in'} with numpy",
                target=f"≤ {LIMIT} s",
                met=declared <= LIMIT and not heavy,
                note=f"{len(names)} algorithms; import {imported:.3f} s; heavy: {heavy or 'nothing'}",
            )
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
