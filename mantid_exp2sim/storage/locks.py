"""One process at a time in a folder that is written for hours: a run, a data set, a model that is calibrated.

The lock is a file in the folder that names its holder. The system lets go of it when the holder ends, however
it ends, so a lock of a dead process never has to be cleared by hand on the same machine. Of another machine
it cannot be told whether its process lives: then the error says which file to delete.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import alive, cannot_write, host, make_folder

LOCK = ".lock"
_MAX_BYTES = 4096


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, which is made if need be; ``what`` names it in the error, such as "run".

    Raises `Exp2SimError` if another process holds it, with that one's number and machine, or the folder
    cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with locked(folder, "run"), locked(folder, "run"):
    ...     pass
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: The run in ... is in use by process ... on ...
    >>> list(folder.iterdir())
    []
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    path = make_folder(folder) / LOCK
    handle = _acquire(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            path.unlink()  # before it is let go: whoever has opened it sees that the name has gone
        os.close(handle)
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()  # if nothing came of it


def _acquire(path: Path, what: str) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            free = _free(handle)
            holder = _holder(handle)
            if not free or holder.get("host", host()) != host():
                raise _in_use(path, what, holder)
            if _same_file(handle, path):  # else its last holder has just deleted it
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, json.dumps({"pid": os.getpid(), "host": host()}).encode())
                return handle
        except OSError as error:
            os.close(handle)
            raise cannot_write(path, error) from error
        except Exp2SimError:
            os.close(handle)
            raise
        os.close(handle)


def _free(handle: int) -> bool:
    """Take the system's lock of an open file; where there is none, go by what the file says."""
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:  # Windows
        return _gone(_holder(handle))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return _gone(_holder(handle))
    return True


def _gone(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    return not isinstance(pid, int) or (holder.get("host") == host() and not alive(pid))


def _holder(handle: int) -> dict[str, Any]:
    """Who has the lock; empty if that is not there (yet)."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        holder = json.loads(os.read(handle, _MAX_BYTES))
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _in_use(path: Path, what: str, holder: dict[str, Any]) -> Exp2SimError:
    who = f"process {holder.get('pid', '?')!s:.20} on {holder.get('host', '?')!s:.64}"
    return Exp2SimError(
        f"The {what} in {path.parent} is in use by {who}.",
        reason="Two processes in one folder would spoil each other's work.",
        fix=f"Wait for it, or choose another folder. If that process is gone, delete {path}.",
    )
