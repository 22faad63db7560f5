"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes `target` on success.

    The file is flushed to the disk and renamed over `target` when the block ends; on any exception,
    `KeyboardInterrupt` included, it is removed and `target` stays as it was. The suffix is kept,
    since some writers go by it.

    Parameters
    ----------
    target
        The file to write. A symbolic link is followed, so that the link itself stays.

    Yields
    ------
    Path
        An existing empty file in the same folder.

    Raises
    ------
    Exp2SimError
        If the folder does not exist or cannot be written, or `target` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> [p.name for p in folder.iterdir()], (folder / "a.txt").read_text()
    (['a.txt'], 'whole')
    """
    final = Path(target).expanduser().resolve()
    temporary = _make(final)
    try:
        yield temporary
        _synchronise(temporary)
        os.chmod(temporary, _mode(final))
        os.replace(temporary, final)
        with contextlib.suppress(OSError):
            _synchronise(final.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _make(final: Path) -> Path:
    if final.is_dir():
        raise Exp2SimError(f"{final} is a folder.", way_out="Give the name of a file.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{final.stem[:64]}-", suffix=final.suffix, dir=final.parent)
    except OSError as error:
        raise Exp2SimError(
            f"Cannot write {final}: {error.strerror or error}.",
            way_out="Create the folder, or choose one that can be written.",
        ) from error
    os.close(handle)
    return Path(name)


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode(final: Path) -> int:
    """Permissions of the file to come: those it has, else what the umask leaves of 0666."""
    try:
        return final.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
