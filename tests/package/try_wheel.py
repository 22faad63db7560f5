"""Install a wheel into an empty environment and use it there, far from the repository.

python -m tests.package.try_wheel dist/mantid_exp2sim-….whl 'torch==2.13.0'
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
RUN_TIME = {".py", ".typed", ".toml", ".json", ".safetensors", ".md"}
"""Kinds of files that a wheel holds, beside its own records."""
MAX_MEGABYTES = 25
IMPORTS = """
import mantid_exp2sim, mantid_exp2sim.training, pathlib
folder = pathlib.Path(mantid_exp2sim.__file__).parent
assert list(folder.glob("_algorithms/*.py")), "the algorithms of Mantid are missing"
assert list(folder.glob("training/recipes/*.toml")), "the recipes are missing"
print(mantid_exp2sim.__version__, folder)
"""


def describe(wheel: Path) -> None:
    """Print the size of a wheel by folder; refuse files that no user needs."""
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = Path(entry.filename)
            recorded = path.parts[0].endswith(".dist-info")
            assert recorded or path.suffix in RUN_TIME, f"{path} is not needed at run time"
            assert "tests" not in path.parts, path
            room = "/".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0]
            sizes[room] = sizes.get(room, 0) + entry.compress_size
    for room, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:5]:
        print(f"{size / 1e6:8.2f} MB  {room}")
    assert wheel.stat().st_size < MAX_MEGABYTES * 1e6, f"the wheel has {wheel.stat().st_size / 1e6:.0f} MB"


def main(wheel: Path, torch: str) -> None:
    """Make the environment, and run what a new user runs first."""
    describe(wheel)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "env", with_pip=True)
        binaries = place / "env" / ("Scripts" if os.name == "nt" else "bin")
        pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
        for command in (
            [*pip, torch],
            [*pip, str(wheel)],
            [str(binaries / "python"), "-m", "pip", "check"],
            [str(binaries / "python"), "-c", IMPORTS],
            [str(binaries / "exp2sim"), "--version"],
            [str(binaries / "exp2sim"), "models"],
            [str(binaries / "exp2sim"), "demo"],
            [str(binaries / "exp2sim"), "train", "--help"],
        ):
            start = time.perf_counter()
            subprocess.run(command, cwd=place, env=variables, check=True, stdout=sys.stderr)
            print(
                f"{time.perf_counter() - start:8.1f} s   {' '.join([Path(command[0]).name, *command[1:4]])}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
