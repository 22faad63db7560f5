"""The files of a recipe, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.training.datasets.from_files.recipe import KINDS, ExportKind, ExportRecipe, Source

MAX_FILES = 100_000
ENDINGS = (".nxs", ".npy", ".npz", ".mat", ".sqw", ".d1d", ".d2d", ".d3d", ".d4d", ".nxspe")
"""Files of a folder that are read; a glob takes any."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of one domain."""

    path: Path
    kind: ExportKind
    source: Source


def entries(recipe: ExportRecipe, folder: Path) -> list[Entry]:
    """All files of a recipe that lies in ``folder``: by domain, source and name, each once per domain."""
    listed: list[Entry] = []
    for kind in KINDS:
        paths: set[Path] = set()
        for source in recipe.sources(kind):
            for path in expand(source.files, folder):
                if path.resolve() not in paths:
                    paths.add(path.resolve())
                    listed.append(Entry(path, kind, source))
    return listed


def expand(patterns: Sequence[str], folder: Path) -> list[Path]:
    """Files that names, folders and globs stand for; ``~`` and ``$NAME`` are replaced.

    Raises
    ------
    Exp2SimError
        If a pattern stands for no file.
    """
    paths: list[Path] = []
    for pattern in patterns:
        text = os.path.expandvars(os.path.expanduser(pattern))
        base = Path(text) if os.path.isabs(text) else folder / text
        some = sorted(_files(base))
        if not some:
            raise Exp2SimError(
                f"There is no file {pattern}.",
                fix="Name it by its full path, or relative to the recipe.",
            )
        paths += some
        if len(paths) > MAX_FILES:
            raise Exp2SimError(
                f"{pattern} and what comes before are more than {MAX_FILES} files.", fix="Take fewer."
            )
    return list(dict.fromkeys(paths))


def _files(base: Path) -> list[Path]:
    if base.is_file():
        return [base]
    if base.is_dir():
        return [p for p in base.rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS]
    return [Path(p) for p in glob.glob(str(base), recursive=True) if Path(p).is_file()]
