"""Read and edit Mantid's user properties, whose key ``user.python.plugins.directories`` names plugins.

Mantid reads this file **up to the first backtick**, comments included: what stands behind one does not exist
for it. Only the value of the key is edited: other entries, comments and line ends stay.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path

KEY = "user.python.plugins.directories"
MARK = "# The algorithms of mantid_exp2sim: 'exp2sim workbench uninstall' takes them out."
_LINE = re.compile(rf"^[ \t]*{re.escape(KEY)}[ \t]*(?:[=:][ \t]*|(?=[\r\n]|\Z))", re.ASCII)


def default_properties() -> Path:
    """Return the path of Mantid's user properties, which differs on Windows."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
        return Path(roaming) / "mantidproject" / "mantid" / "Mantid.user.properties"
    return Path.home() / ".mantid" / "Mantid.user.properties"


def algorithms_folder() -> Path:
    """Return the directory of the algorithms, in the installed package or in the checkout."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "_algorithms", here.parent / "algorithms"):
        if (folder / "DeconvolveMD.py").is_file():
            return folder
    raise Exp2SimError(
        "The algorithms are not beside the package.",
        reason=f"They are looked for in {here / '_algorithms'} and {here.parent / 'algorithms'}.",
        fix="Install mantid_exp2sim again.",
    )


def algorithm_files() -> tuple[Path, ...]:
    """List the files of the algorithms, named as these, in alphabetic order."""
    return tuple(sorted(algorithms_folder().glob("*.py")))


def is_ours(entry: str) -> bool:
    """Say whether an entry is the algorithms of this package, or of another copy of it."""
    file = Path(entry) / "DeconvolveMD.py"
    try:
        return file.is_file() and "mantid_exp2sim" in file.read_text("utf-8", "replace")
    except (OSError, ValueError):
        return False


def read_properties(path: Path) -> str:
    """Read the whole file, to be written again byte for byte; a missing file is empty."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Exp2SimError(
            f"Cannot read {path}.",
            reason=f"{error.strerror}.",
            fix="Name the file, with the right to read it.",
        ) from error
    if b"\0" in content:
        raise Exp2SimError(
            f"{path} is no file of properties.",
            reason="It is not text.",
            fix=f"Mantid's is {default_properties()}.",
        )
    return content.decode("utf-8", "surrogateescape")


def write_properties(path: Path, text: str) -> None:
    """Write the file in one step: it is there as a whole, or as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Exp2SimError(
            f"Cannot make the folder {path.parent}.",
            reason=f"{error.strerror}.",
            fix="Make it, or name a file in another folder.",
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def entries_that_mantid_reads(text: str) -> tuple[str, ...]:
    """Parse the entries of the key in front of the first backtick, in their order.

    >>> entries_that_mantid_reads("user.python.plugins.directories = /a;/b")
    ('/a', '/b')
    >>> entries_that_mantid_reads("# see `this`\\nuser.python.plugins.directories = /a")
    ()
    """
    lines = _lines(text.partition("`")[0])
    setting = _last_setting(lines)
    return tuple(_entries(lines[slice(*setting)])) if setting else ()


def line_of_backtick(text: str) -> int | None:
    """Return the number, from 1, of the line with the first backtick, or None."""
    in_front, backtick, _ = text.partition("`")
    return in_front.count("\n") + 1 if backtick else None


def with_entry(text: str, entry: str) -> str:
    """Add the entry in place of other copies of the algorithms."""
    lines = _lines(text)
    setting = _last_setting(lines)
    if setting is None:
        end = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
        return "".join([MARK + end, f"{KEY} = {entry}{end}", *_without_marks(lines)])
    start, stop = setting
    entries = _entries(lines[start:stop])
    others = [item for item in entries if not is_ours(item)]
    if entries != [*others, entry]:
        lines[start:stop] = [_rewritten(lines[start:stop], [*others, entry])]
    return "".join(lines)


def without_entries(text: str) -> str:
    """Take out the algorithms and the lines that `with_entry` wrote, and nothing else."""
    lines = _lines(text)
    setting = _last_setting(lines)
    if setting is None:
        return "".join(_without_marks(lines))
    start, stop = setting
    value = lines[start:stop]
    entries = _entries(value)
    others = [item for item in entries if not is_ours(item)]
    if not others and start > 0 and _is_mark(lines[start - 1]):
        value = []
    elif others != entries:
        value = [_rewritten(value, others)]
    return "".join([*_without_marks(lines[:start]), *value, *_without_marks(lines[stop:])])


def _lines(text: str) -> list[str]:
    """Split at the line ends of Mantid's reader alone, not at those that Unicode has beside them."""
    return list(io.StringIO(text, newline=""))


def _is_mark(line: str) -> bool:
    return line.strip() == MARK


def _without_marks(lines: list[str]) -> list[str]:
    return [line for line in lines if not _is_mark(line)]


def _last_setting(lines: list[str]) -> tuple[int, int] | None:
    """First and last line (exclusive) of the key's last setting, which is the one that counts."""
    setting, start = None, 0
    while start < len(lines):
        stop = start + 1
        comment = lines[start].lstrip()[:1] in ("#", "!")
        while not comment and stop < len(lines) and _continued(lines[stop - 1]):
            stop += 1
        if _LINE.match(lines[start]):
            setting = (start, stop)
        start = stop
    return setting


def _continued(line: str) -> bool:
    bare = line.rstrip("\r\n")
    return (len(bare) - len(bare.rstrip("\\"))) % 2 == 1


def _entries(setting: list[str]) -> list[str]:
    value = "".join(line.rstrip("\r\n").rstrip("\\") for line in setting[:-1]) + setting[-1].rstrip("\r\n")
    return [entry for part in _LINE.sub("", value).split(";") if (entry := part.strip(" \t"))]


def _rewritten(setting: list[str], entries: list[str]) -> str:
    head = _LINE.match(setting[0])
    assert head is not None
    start = head.group() if head.group().strip(" \t") != KEY else f"{KEY} = "
    return start + ";".join(entries) + setting[-1][len(setting[-1].rstrip("\r\n")) :]
