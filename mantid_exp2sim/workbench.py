"""Tell MantidWorkbench where the algorithms are: install, uninstall, doctor, and register for scripts.

Mantid executes every Python file in the directories that the key ``user.python.plugins.directories`` of its
user properties names, at start-up. Only that value is touched: other entries, comments and line ends stay.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.atomic import atomic_path
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.doctor import Report

KEY = "user.python.plugins.directories"
MARK = "# The algorithms of mantid_exp2sim; `exp2sim workbench uninstall` takes them out."
BACKUP = ".exp2sim-backup"
_LINE = re.compile(rf"^[ \t]*{re.escape(KEY)}[ \t]*[=:][ \t]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a properties file; ``backup`` is the file as it was, if it changed."""

    properties: Path
    folder: Path
    changed: bool
    backup: Path | None = None


def algorithms_folder() -> Path:
    """The directory of the algorithms: in the installed package, or in the checkout.

    >>> (algorithms_folder() / "DeconvolveMD.py").is_file()
    True
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "_algorithms", here.parent / "algorithms"):
        if (folder / "DeconvolveMD.py").is_file():
            return folder
    raise Exp2SimError(
        "The algorithms are not beside the package.",
        why=f"They are looked for in {here / '_algorithms'} and {here.parent / 'algorithms'}.",
        way_out="Install mantid_exp2sim again.",
    )


def algorithm_files() -> tuple[Path, ...]:
    """The file of each algorithm, in alphabetic order; its name is the name of the algorithm."""
    return tuple(sorted(algorithms_folder().glob("*.py")))


def default_properties() -> Path:
    """Mantid's user properties: ``~/.mantid``, on Windows ``%APPDATA%/mantidproject/mantid``."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
        return Path(roaming) / "mantidproject" / "mantid" / "Mantid.user.properties"
    return Path.home() / ".mantid" / "Mantid.user.properties"


def install(properties: str | os.PathLike[str] | None = None) -> Change:
    """Add the algorithms to Mantid's plugin directories; run twice, it changes nothing.

    An entry of another copy of this package is replaced. The file is made if it is missing, and a copy of it
    as it was is kept beside it.

    Raises
    ------
    Exp2SimError
        If the file cannot be read or written, or the path of the algorithms cannot be an entry.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "Mantid.user.properties"
    >>> install(file).changed, install(file).changed, uninstall(file).changed, file.exists()
    (True, False, True, False)
    """
    folder = algorithms_folder()
    entry = folder.as_posix()
    if ";" in entry or "\\" in entry or entry != entry.strip():
        raise Exp2SimError(
            f"The path {entry} cannot be an entry of {KEY}.",
            why="Entries are separated by ';'.",
            way_out="Install the package in a folder whose path has none of ; and \\.",
        )
    return _edit(
        properties, lambda entries: [*(e for e in entries if not is_ours(e)), entry], folder, add=True
    )


def uninstall(properties: str | os.PathLike[str] | None = None) -> Change:
    """Take the algorithms out of Mantid's plugin directories, and nothing else."""
    return _edit(
        properties, lambda entries: [e for e in entries if not is_ours(e)], algorithms_folder(), add=False
    )


def plugin_directories(properties: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """The entries of the key, in their order."""
    path = Path(properties) if properties is not None else default_properties()
    lines = _read(path).splitlines(keepends=True)
    found = _find(lines)
    return tuple(_entries(lines, *found)) if found else ()


def is_ours(entry: str) -> bool:
    """Say whether an entry is the algorithms of this package, or of another copy of it."""
    path = Path(entry)
    with_algorithms = path / "DeconvolveMD.py"
    try:
        if path.resolve() == algorithms_folder().resolve():
            return True
        return with_algorithms.is_file() and "mantid_exp2sim" in with_algorithms.read_text("utf-8", "replace")
    except (OSError, ValueError):
        return False


def register() -> tuple[str, ...]:
    """Make the algorithms callable from a script, without any plugin directory; gives their names.

    After it, ``from mantid.simpleapi import DeconvolveMD`` works.

    Raises
    ------
    Exp2SimError
        If Mantid cannot be imported.
    """
    try:
        from mantid import simpleapi
        from mantid.api import AlgorithmManager
    except ImportError as error:
        raise Exp2SimError(
            "Mantid cannot be imported by this Python.",
            why=str(error) + ".",
            way_out="Mantid comes from conda: see environment.yml, or run `exp2sim workbench doctor`.",
        ) from error
    names = []
    for file in algorithm_files():
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        algorithm = AlgorithmManager.createUnmanaged(file.stem)
        algorithm.initialize()
        simpleapi._create_algorithm_function(file.stem, algorithm.version(), algorithm)
        names.append(file.stem)
    return tuple(names)


def doctor(properties: str | os.PathLike[str] | None = None) -> Report:
    """Look at everything the algorithms need in Workbench; see :mod:`mantid_exp2sim.doctor`."""
    from mantid_exp2sim.doctor import examine

    return examine(Path(properties) if properties is not None else default_properties())


# ------------------------------------------------------------------------------------------ properties file


def _edit(
    properties: str | os.PathLike[str] | None,
    change: Callable[[list[str]], list[str]],
    folder: Path,
    *,
    add: bool,
) -> Change:
    path = (Path(properties) if properties is not None else default_properties()).expanduser()
    text = _read(path)
    lines = text.splitlines(keepends=True)
    found = _find(lines)
    before = _entries(lines, *found) if found else []
    after = change(before)
    if after == before:
        return Change(path, folder, changed=False)
    backup = path.with_name(path.name + BACKUP) if text else None
    if backup is not None:
        _write(backup, text)
    new = "".join(_changed(lines, found, after))
    if new or add:
        _write(path, new)
    else:
        path.unlink(missing_ok=True)
    return Change(path, folder, changed=True, backup=backup)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Exp2SimError(f"Cannot read {path}: {error.strerror or error}.") from error
    if b"\0" in content:
        raise Exp2SimError(
            f"{path} is no file of properties.",
            why="It holds other things than text.",
            way_out="Mantid's own is ~/.mantid/Mantid.user.properties.",
        )
    return content.decode("utf-8", "surrogateescape")


def _find(lines: list[str]) -> tuple[int, int] | None:
    """First and last line (exclusive) of the key's last setting, which is the one that counts."""
    found, start = None, 0
    while start < len(lines):
        stop = start + 1
        comment = lines[start].lstrip()[:1] in ("#", "!")
        while not comment and stop < len(lines) and _continued(lines[stop - 1]):
            stop += 1
        if _LINE.match(lines[start]):
            found = (start, stop)
        start = stop
    return found


def _continued(line: str) -> bool:
    bare = line.rstrip("\r\n")
    return (len(bare) - len(bare.rstrip("\\"))) % 2 == 1


def _entries(lines: list[str], start: int, stop: int) -> list[str]:
    value = "".join(line.rstrip("\r\n").rstrip("\\") for line in lines[start : stop - 1])
    value += lines[stop - 1].rstrip("\r\n")
    return [entry for part in _LINE.sub("", value).split(";") if (entry := part.strip())]


def _changed(lines: list[str], found: tuple[int, int] | None, entries: list[str]) -> list[str]:
    end = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
    if found is None:
        return [MARK + end, f"{KEY} = {';'.join(entries)}{end}", *lines]
    start, stop = found
    ours = start > 0 and lines[start - 1].rstrip("\r\n") == MARK
    if not entries and ours:
        return [*lines[: start - 1], *lines[stop:]]
    head = _LINE.match(lines[start])
    assert head is not None
    tail = lines[stop - 1][len(lines[stop - 1].rstrip("\r\n")) :]
    return [*lines[:start], head.group() + ";".join(entries) + tail, *lines[stop:]]


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Exp2SimError(f"Cannot make the folder {path.parent}: {error.strerror or error}.") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
