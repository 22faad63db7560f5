"""Tell MantidWorkbench where the algorithms are, and register them for scripts.

Mantid executes every Python file in the directories that the key ``user.python.plugins.directories`` of its
user properties names, at start-up; :mod:`mantid_exp2sim.mantid.user_properties` edits that file.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mantid.user_properties import (
    KEY,
    algorithm_files,
    algorithms_folder,
    default_properties,
    entries_that_mantid_reads,
    line_of_backtick,
    read_properties,
    with_entry,
    without_entries,
    write_properties,
)

BACKUP = ".exp2sim-backup"


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a properties file; ``backup`` is the file as it was, if it changed.

    ``warning`` names a backtick of somebody else's, which hides a part of the file from Mantid.
    """

    properties: Path
    folder: Path
    changed: bool
    backup: Path | None = None
    warning: str = ""


def install(properties: Path | None = None) -> Change:
    """Add the algorithms to Mantid's plugin directories; run twice, it changes nothing.

    An entry of another copy of this package is replaced. The file is made if it is missing, and a copy of it
    as it was is kept beside it.

    Raises `Exp2SimError` if the file cannot be read or written, or the path of the algorithms cannot be an
    entry.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "Mantid.user.properties"
    >>> install(file).changed, install(file).changed, uninstall(file).changed, file.exists()
    (True, False, True, False)
    """
    path = _locate(properties)
    entry = algorithms_folder().as_posix()
    if set(";\\`") & set(entry) or entry != entry.strip():
        raise Exp2SimError(
            f"The path {entry} cannot be an entry of {KEY}.",
            reason="Entries are separated by ';', and Mantid reads nothing behind a backtick.",
            fix="Install the package in a folder whose path has no semicolon, backslash or backtick.",
        )
    text = read_properties(path)
    edited = with_entry(text, entry)
    return _replace(path, text, edited, warning=_warn(path, edited))


def uninstall(properties: Path | None = None) -> Change:
    """Remove the algorithms from Mantid's plugin directories, and nothing else."""
    path = _locate(properties)
    text = read_properties(path)
    return _replace(path, text, without_entries(text))


def register_algorithms() -> tuple[str, ...]:
    """Make the algorithms callable from a script, without any plugin directory, and return their names.

    After it, ``from mantid.simpleapi import DeconvolveMD`` works.

    Raises `Exp2SimError` if Mantid cannot be imported.
    """
    try:
        from mantid import simpleapi
        from mantid.api import AlgorithmManager
    except ImportError as error:
        raise Exp2SimError(
            "Mantid cannot be imported by this Python.",
            reason=f"{error}.",
            fix="Mantid comes from conda: see environment.yml, or run `exp2sim workbench doctor`.",
        ) from error
    files = algorithm_files()
    for file in files:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        algorithm = AlgorithmManager.createUnmanaged(file.stem)
        algorithm.initialize()
        simpleapi._create_algorithm_function(file.stem, algorithm.version(), algorithm)
    return tuple(file.stem for file in files)


def _locate(properties: Path | None) -> Path:
    return (properties or default_properties()).expanduser()


def _replace(path: Path, text: str, edited: str, *, warning: str = "") -> Change:
    """Write the edited file, keep the old one beside it, and remove a file that holds nothing any more."""
    if edited == text:
        return Change(path, algorithms_folder(), changed=False, warning=warning)
    backup = path.with_name(path.name + BACKUP) if text else None
    if backup is not None:
        write_properties(backup, text)
    if edited:
        write_properties(path, edited)
    else:
        path.unlink()
    return Change(path, algorithms_folder(), changed=True, backup=backup, warning=warning)


def _warn(path: Path, text: str) -> str:
    line = line_of_backtick(text)
    if line is None:
        return ""
    read = algorithms_folder().as_posix() in entries_that_mantid_reads(text)
    hidden = "other settings of yours may be among it" if read else "the algorithms are among it"
    return (
        f"Line {line} of {path} holds a backtick: Mantid reads nothing behind it, and {hidden}. "
        "Take the backtick out; it is not ours, so it is left as it is."
    )
