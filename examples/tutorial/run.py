"""Run the commands of docs/tutorial.md, in their order: ``python examples/tutorial/run.py FOLDER [--small]``.

What is in the document's ``sh`` blocks is what is run. ``--small`` makes the recipes' numbers small first
(`SMALL`): every step in seconds, with a result that is worth nothing. Models are installed in FOLDER.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "tutorial.md"
RECIPES = Path("examples") / "tutorial"
TRAINING: dict[str, object] = {"steps": 6, "checks": 2, "batch": 4, "width": 8}
SMALL: dict[str, dict[str, object]] = {
    "simulate.toml": {
        "train": 22,
        "validation": 2,
        "test": 2,
        "grid": 8,
        "shard_size": 26,
        "bins": "[16, 16, 16]",
    },
    "data.toml": {"width = 0.0625": "width = 0.125", "validation": 0.4, "test": 0.2},
    "translator.toml": {**TRAINING, "blocks": 1},
    "classifier-integrated.toml": TRAINING,
    "classifier-convolved.toml": TRAINING,
    "hexagonal-simulate.toml": {
        "train": 4,
        "validation": 2,
        "test": 2,
        "grid": 8,
        "bins": "[16, 16, 16]",
    },
    "hexagonal-translator.toml": {**TRAINING, "blocks": 1},
}
"""What becomes of which numbers; a key with ``=`` is replaced as it stands."""
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands and the heading that it stands under."""

    heading: str
    code: str


def blocks(text: str) -> list[Block]:
    """The ``sh`` blocks of a document.

    >>> blocks("## Look\\n```sh\\nls\\n```\\n")
    [Block(heading='Look', code='ls\\n')]
    """
    parts = []
    for match in BLOCK.finditer(text):
        headings = re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE)
        parts.append(Block(headings[-1] if headings else "", match[1]))
    return parts


def shrink(text: str, numbers: dict[str, object]) -> str:
    """A recipe with other numbers.

    >>> shrink("train = 240  # many\\n", {"train": 3})
    'train = 3  # many\\n'
    """
    for key, value in numbers.items():
        if "=" in key:
            changed = text.replace(key, str(value))
        else:
            number = r"\[[^\]]*\]" if isinstance(value, str) else r"[\d.]+"
            changed = re.sub(rf"^({key} = ){number}", rf"\g<1>{value}", text, flags=re.MULTILINE)
        if changed == text:
            raise ValueError(f"the recipe has no {key}")
        text = changed
    return text


def prepare(folder: Path, *, small: bool) -> None:
    """Put what the document finds in the repository's folder into ``folder``."""
    shutil.copytree(ROOT / RECIPES, folder / RECIPES, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name, numbers in SMALL.items() if small else ():
        path = folder / RECIPES / name
        path.write_text(shrink(path.read_text(encoding="utf-8"), numbers), encoding="utf-8")


COMMANDS = {
    "--bins 32 32 16": "--bins 16 16 16",
    "--grid 40": "--grid 8",
    "--processes 2": "--processes 1",
    "exp2sim calibrate": "exp2sim calibrate --limit 4 --test 4",
    "exp2sim evaluate": "exp2sim evaluate --limit 6",
}
"""What becomes of which parts of a command."""


def small_commands(code: str) -> str:
    """Commands with numbers that go with the small recipes."""
    for part, other in COMMANDS.items():
        code = code.replace(part, other)
    return code


class Session:
    """A shell that keeps its working folder from block to block."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder
        commands = Path(sys.executable).parent  # where exp2sim is installed
        self.environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ.get('PATH', '')}",
            "EXP2SIM_MODELS": str(folder / "models"),
        }

    def run(self, block: Block, *, small: bool) -> str:
        """Run a block and return what it printed; `subprocess.CalledProcessError` where a command fails."""
        state = self.folder / "place"
        code = small_commands(block.code) if small else block.code
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'{code}\npwd > "{state}"'],
            cwd=self.place,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.place = Path(state.read_text(encoding="utf-8").strip())
        return done.stdout


def processor_seconds() -> float:
    """Processor time of all finished children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Run all blocks and print the time of each."""
    parser = argparse.ArgumentParser(description="Run the commands of docs/tutorial.md.")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--small", action="store_true", help="tiny sizes: seconds, and no useful result")
    args = parser.parse_args()
    if args.folder.exists():
        print(f"{args.folder} is there already; choose another folder, or delete it.", file=sys.stderr)
        return 2
    prepare(args.folder, small=args.small)
    session, rows = Session(args.folder.resolve()), []
    for block in blocks(DOCUMENT.read_text(encoding="utf-8")):
        print(f"\n## {block.heading}\n\n{block.code}", flush=True)
        start, used = time.perf_counter(), processor_seconds()
        print(session.run(block, small=args.small), flush=True)
        rows.append((block.heading, time.perf_counter() - start, processor_seconds() - used))
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    print("| step | time, s | processor time, s |\n| --- | --- | --- |")
    for heading, wall, used in rows:
        print(f"| {heading} | {wall:.0f} | {used:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
