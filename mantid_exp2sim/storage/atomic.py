"""Files and folders that appear whole or not at all.

Everything the package writes goes through `atomic_path` (a file) or `atomic_folder` (a model): it is written
under a temporary name beside its place, flushed to the disk and renamed. Whatever stops that (an exception, a
signal, a full disk, ``kill -9``, the power) leaves what was there before. Of ``kill -9`` a temporary file may
stay; its name tells which process made it, and `sweep` removes it once that one is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError

_PREFIX = ".exp2sim-"
_NAME = re.compile(re.escape(_PREFIX) + r"(?P<host>.+)-(?P<pid>[0-9]+)-[a-z0-9_]{8}-.*", re.DOTALL)
_UMASK = os.umask(0o077)
os.umask(_UMASK)  # read once: it is the process's, and another thread may make a file meanwhile
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes `target` on success.

    The file is flushed to the disk and renamed over `target` when the block ends; on any exception,
    `KeyboardInterrupt` included, it is removed and `target` stays as it was. The suffix is kept,
    since some writers go by it. Of two processes that write one target, the last one wins, whole.

    Parameters
    ----------
    target
        The file to write. A symbolic link is followed, so that the link itself stays.

    Yields
    ------
    Path
        An existing empty file in the same folder.

    Raises `Exp2SimError` if the folder does not exist or cannot be written, the disk is full, or `target` is
    a folder or a read-only file. An `OSError` about another file passes through.

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
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, Exception) and (trouble := _trouble(error, temporary)) is not None:
            raise cannot_write(final, trouble) from error
        raise


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `target` that becomes `target` on success, in place of what is there.

    Raises
    ------
    Exp2SimError
        As `atomic_path`.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for text in ("first", "second"):
    ...     with atomic_folder(root / "model") as folder:
    ...         _ = (folder / "card.json").write_text(text)
    >>> [p.name for p in root.iterdir()], (root / "model" / "card.json").read_text()
    (['model'], 'second')
    """
    final = Path(target).expanduser().resolve()
    try:
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(), suffix=f"-{final.name[:64]}", dir=final.parent))
    except OSError as error:
        raise cannot_write(final, error) from error
    try:
        yield temporary
        for path in (*temporary.iterdir(), temporary):
            if not path.is_symlink():
                _synchronise(path)
        temporary.chmod(0o755)
        _exchange(temporary, final)
        with contextlib.suppress(OSError):
            _synchronise(final.parent)
    except Exception as error:
        if (trouble := _trouble(error, temporary)) is not None:
            raise cannot_write(final, trouble) from error
        raise
    finally:  # what is left under the temporary name: the unfinished folder, or the one that was replaced
        shutil.rmtree(temporary, ignore_errors=True)


def require_place(target: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the absolute path of a file that is to be written; refuse a place where it cannot be.

    Nothing may be there unless ``overwrite`` is set. Every command calls it before its work.

    Raises
    ------
    Exp2SimError
        If something is there already, the folder does not exist or cannot be written, or ``target`` is a
        folder or a read-only file.

    Examples
    --------
    >>> require_place(__file__, overwrite=False)
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: .../atomic.py is there already. ...
    """
    final = Path(target).expanduser().resolve()
    if final.is_dir():
        raise Exp2SimError(f"{target} is a folder.", fix="Give the name of a file.")
    if not final.parent.is_dir():
        raise Exp2SimError(f"The folder {final.parent} does not exist.", fix="Create it first.")
    if final.exists():
        _require_replaceable(target, final, overwrite=overwrite)
    if not os.access(final.parent, os.W_OK):
        raise cannot_write(final, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return final


def _require_replaceable(target: str | os.PathLike[str], final: Path, *, overwrite: bool) -> None:
    if not overwrite:
        raise Exp2SimError(
            f"{target} is there already.",
            reason="Nothing is replaced unless you say so.",
            fix="Give another name, or say --overwrite (in Python overwrite=True).",
        )
    if not final.stat().st_mode & 0o222:
        raise Exp2SimError(
            f"{target} is read-only.", reason="So somebody wants to keep it.", fix="Give another name."
        )


def make_folder(folder: Path) -> Path:
    """Make a folder with its parents if it is not there; `Exp2SimError` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def require_own_folder(folder: Path, mark: str) -> None:
    """Refuse a folder that holds other files than results, which have the file ``mark`` among them.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> require_own_folder(folder, "fit.json")
    >>> (folder / "measured.nxs").touch()
    >>> require_own_folder(folder, "fit.json")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: The folder ... holds other files. ...
    """
    if folder.exists() and not folder.is_dir():
        raise Exp2SimError(f"{folder} is no folder.", fix="Give the name of one, or a new name.")
    if folder.is_dir() and not (folder / mark).exists() and any(folder.iterdir()):
        raise Exp2SimError(
            f"The folder {folder} holds other files.",
            reason="The results have many, which could take the place of these.",
            fix="Name a folder that is new, empty, or of an earlier result.",
        )


def cannot_write(target: Path, error: OSError) -> Exp2SimError:
    """The error to raise where the system refuses to write.

    >>> print(cannot_write(Path("a.npz"), OSError(errno.ENOSPC, "No space left on device")))
    Cannot write a.npz: No space left on device. The disk is full, ... Make room, or choose another place.
    """
    what = f"Cannot write {target}: {error.strerror or error}."
    if error.errno in _FULL:
        why = "The disk is full, or a quota or a limit on the size of files is reached; nothing was replaced."
        return Exp2SimError(what, reason=why, fix="Make room, or choose another place.")
    if error.errno in _CLOSED:
        return Exp2SimError(what, reason="The place is read-only.", fix="Choose one that can be written.")
    return Exp2SimError(what, fix="Create the folder, or choose one that can be written.")


def cannot_read(target: Path, error: OSError) -> Exp2SimError:
    """The error to raise where the system refuses to read."""
    return Exp2SimError(
        f"{target} cannot be read: {error.strerror or error}.",
        fix="Check that it exists and that you may read it.",
    )


def sweep(folder: Path) -> None:
    """Remove what processes of this machine that are gone have left half-written in a folder.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / f"{_prefix(pid=2**22 + 1)}abcdefgh-a.npz").touch()
    >>> (folder / f"{_prefix()}abcdefgh-a.npz").touch()
    >>> sweep(folder)
    >>> len(list(folder.iterdir()))  # this process may still be writing
    1
    """
    with contextlib.suppress(OSError):
        for path in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(_PREFIX)]:
            name = _NAME.fullmatch(path.name)
            if name and name["host"] == host() and not alive(int(name["pid"])):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a path is something half-written of this module."""
    return path.name.startswith(_PREFIX)


def host() -> str:
    """Name of this machine, as it can stand in a file name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64] or "unknown"


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; where that cannot be told without harm, True.

    One that has ended runs no more, also if nobody has asked for its exit status yet.
    """
    if os.name != "posix":  # on Windows os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux, or it has gone
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]


def _prefix(pid: int | None = None) -> str:
    return f"{_PREFIX}{host()}-{os.getpid() if pid is None else pid}-"


def _make(final: Path) -> Path:
    require_place(final, overwrite=True)
    suffix = f"-{final.stem[:64]}{final.suffix}"
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(), suffix=suffix, dir=final.parent)
    except OSError as error:
        raise cannot_write(final, error) from error
    os.close(handle)
    return Path(name)


def _trouble(error: Exception, temporary: Path) -> OSError | None:
    """The system's refusal behind an exception, if it is about the temporary file."""
    if isinstance(error, Exp2SimError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        about = error.filename
        elsewhere = isinstance(about, str | bytes) and not os.fsdecode(about).startswith(str(temporary))
        return None if elsewhere or isinstance(error, BrokenPipeError) else error
    if re.search(r"requested and [0-9]+ written", str(error)):  # numpy, which loses the number
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # h5py and safetensors put the number into the text
    number = re.search(r"(?:errno = |\[Errno |\(os error )([0-9]+)", str(error))
    if number and int(number[1]) in _FULL | _CLOSED | {errno.EIO}:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    before = error.__context__
    if isinstance(before, OSError) and before.errno in _FULL | {errno.EIO}:  # closing it raised another
        return before
    return error if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) else None


def _exchange(temporary: Path, final: Path) -> None:
    """Put a folder in place in one step; one that is there gets the temporary name."""
    if not final.exists() or not any(final.iterdir()):
        temporary.rename(final)
        return
    if _swapped(temporary, final):
        return
    aside = temporary.with_name(temporary.name + "-old")
    final.rename(aside)
    try:
        temporary.rename(final)
    except OSError:
        aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _swapped(first: Path, second: Path) -> bool:
    """Exchange two names in one step where the system can (Linux: renameat2)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


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
        return 0o666 & ~_UMASK
