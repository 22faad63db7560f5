"""Record how the package behaves: ``python -m tests.behaviour.record [GROUP …]``.

Writes ``recorded.json`` beside this file; with GROUPs only those are recorded again. Do this only after a
change that is meant, and say in the change's message what has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.behaviour import format_cases, train_cases, use_cases, wrong_cases
from tests.behaviour.observe import Json, machine

RECORD = Path(__file__).parent / "recorded.json"
GROUPS: dict[str, Callable[[], Json]] = {
    "simulation": use_cases.simulation,
    "translation": use_cases.translation,
    "opinions": use_cases.opinions,
    "readers": format_cases.readers,
    "writers": format_cases.writers,
    "real files": format_cases.real_files,
    "pictures": format_cases.pictures,
    "wrong inputs": wrong_cases.wrong_inputs,
    "datasets": train_cases.datasets,
    "training": train_cases.training,
}
"""What is recorded, each in a folder of its own."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Work in a folder, on one core, without the models of this account."""
    import torch

    settings = {"EXP2SIM_MODELS": str(folder / "models")}
    before = {name: os.environ.get(name) for name in settings}
    threads, place = torch.get_num_threads(), Path.cwd()
    os.environ.update(settings)
    os.chdir(folder)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.chdir(place)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def observe(group: str, folder: Path) -> Json:
    """Describe how the package behaves now, in JSON."""
    with alone(folder):
        return json.loads(json.dumps(GROUPS[group]()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the groups and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)} (default: all)")
    groups = parser.parse_args(arguments).groups or list(GROUPS)
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    record["machine"] = machine()
    for group in groups:
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            record[group] = observe(group, Path(folder))
        print(f"{group}: {time.process_time() - start:.1f} s of one core", file=sys.stderr)
    RECORD.write_text(_lines(record), encoding="utf-8")
    return 0


def _lines(record: dict[str, Json]) -> str:
    """Write one line for each case, so that a difference shows where it is.

    >>> print(_lines({"machine": {}, "a": {"b": [1, 2]}}))
    {
    "machine": {},
    "a": {
    "b": [1, 2]}
    }
    <BLANKLINE>
    """
    groups = []
    for name, cases in record.items():
        lines = [
            f"{json.dumps(case)}: {json.dumps(said, ensure_ascii=False)}" for case, said in cases.items()
        ]
        groups.append(f"{json.dumps(name)}: {{" + ("\n" if lines else "") + ",\n".join(lines) + "}")
    return "{\n" + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main())
