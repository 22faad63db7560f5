"""What a model comes in: a folder or a zip file, opened without trusting it.

Only plain files are seen, under plain names: no links, no folders within (but for one around everything, as
when a folder is zipped), no absolute or parent paths, no name twice. Counts and sizes are known, and bounded,
before anything is read.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import cannot_read

MAX_FILES = 256
MAX_DIRECTORY = 2**17
"""Largest list of contents of a zip file, in bytes."""
MAX_RATIO, FREE_BYTES = 20, 2**26
"""Weights hardly compress: more than this ratio, beyond 64 MiB, is no model."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Archive(Protocol):
    """Files by name."""

    @property
    def sizes(self) -> dict[str, int]:
        """Name and size of every file."""
        ...

    def open(self, name: str) -> BinaryIO:
        """One of them, to read."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """All of one that has at most ``limit`` bytes."""
        ...


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a folder or a zip file; `Exp2SimError` where it is neither, or holds what no model holds."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise Exp2SimError(
            f"There is no file or folder {path}.",
            fix="Give the folder of a model or the file that `exp2sim models pack` made.",
        ) from error
    if stat.S_ISDIR(mode):
        yield _Folder(path)
        return
    if not stat.S_ISREG(mode):
        raise Exp2SimError(
            f"{path} is no plain file and no folder.",
            fix="Give the folder of a model or the file that `exp2sim models pack` made.",
        )
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # damaged ones fail in many ways
        raise _unreadable(path, error) from error
    with archive:
        yield _Zip(path, archive)


class _Base:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}

    def open(self, name: str) -> BinaryIO:
        raise NotImplementedError

    def read(self, name: str, limit: int) -> bytes:
        if name not in self.sizes:
            raise Exp2SimError(
                f"{self.path} holds no model: it has no {name}.",
                fix="Give the folder of a model or the file that `exp2sim models pack` made.",
            )
        if self.sizes[name] > limit:
            raise Exp2SimError(
                f"{name} in {self.path} has {self.sizes[name]} bytes.",
                reason=f"At most {limit} are taken.",
                fix="Get the model again.",
            )
        with self.open(name) as stream:
            content = stream.read(limit + 1)
        if len(content) != self.sizes[name]:
            raise Exp2SimError(
                f"{name} in {self.path} has not the size that is written there.", fix="Get the model again."
            )
        return content

    def _add(self, name: str, size: int) -> None:
        if not _PLAIN.fullmatch(name):
            raise Exp2SimError(
                f"{self.path} holds a file {name!r:.120}.",
                reason="No model has such a file.",
                fix="Get the model again.",
            )
        if name in self.sizes:
            raise Exp2SimError(f"{self.path} holds {name} twice.", fix="Get the model again.")
        if len(self.sizes) >= MAX_FILES:
            raise Exp2SimError(f"{self.path} holds more than {MAX_FILES} files.", fix="Get the model again.")
        self.sizes[name] = size


class _Folder(_Base):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.is_file(follow_symlinks=False):
                        raise Exp2SimError(
                            f"{path} holds {entry.name!r:.120}, which is a link or a folder.",
                            reason="A model is made of plain files.",
                            fix="Take links and folders out, or pack the model with `exp2sim models pack`.",
                        )
                    self._add(entry.name, entry.stat(follow_symlinks=False).st_size)
        except OSError as error:
            raise cannot_read(path, error) from error

    def open(self, name: str) -> BinaryIO:
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
        for more in ("O_NOFOLLOW", "O_NONBLOCK"):  # what was a file a moment ago may be a link or a pipe now
            flags |= getattr(os, more, 0)
        try:
            handle = os.open(self.path / name, flags)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise Exp2SimError(f"{self.path / name} is no plain file.", fix="Get the model again.")
            return cast(BinaryIO, _Guarded(os.fdopen(handle, "rb"), self.path))
        except OSError as error:
            raise cannot_read(self.path / name, error) from error


class _Zip(_Base):
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(path)
        self.archive = archive
        self.members: dict[str, zipfile.ZipInfo] = {}
        around = _common_folder(archive.infolist())
        for info in archive.infolist():
            self._check(info)
            name = info.filename.removeprefix(around)
            if name or info.file_size:  # else it is the folder around everything
                self._add(name, info.file_size)
                self.members[name] = info

    def _check(self, info: zipfile.ZipInfo) -> None:
        name = f"{info.filename!r:.120} in {self.path}"
        if "\0" in info.orig_filename or _is_special(info):
            raise Exp2SimError(
                f"{name} is a link or something else than a plain file.", fix="Get the model again."
            )
        if info.flag_bits & 0x1:
            raise Exp2SimError(f"{name} is encrypted.", fix="Pack it without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Exp2SimError(f"{name} is packed in a way that is not taken.", fix="Use deflate.")
        if info.file_size > FREE_BYTES + MAX_RATIO * info.compress_size:
            raise Exp2SimError(
                f"{name} unpacks {info.compress_size} bytes to {info.file_size}.",
                reason="No weights pack so well.",
                fix="Get the model again.",
            )

    def open(self, name: str) -> BinaryIO:
        try:
            return cast(BinaryIO, _Guarded(self.archive.open(self.members[name]), self.path))
        except Exception as error:  # damaged ones fail in many ways
            raise _unreadable(self.path, error) from error


class _Guarded:
    """A stream whose reading raises `Exp2SimError` alone."""

    def __init__(self, stream: object, path: Path) -> None:
        self._stream = cast(BinaryIO, stream)
        self._path = path

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:  # zlib.error, struct.error, BadZipFile, OSError, …
            raise _unreadable(self._path, error) from error

    def __enter__(self) -> _Guarded:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _is_special(info: zipfile.ZipInfo) -> bool:
    """Whether the Unix mode of a member says that it is neither a plain file nor, by its name, a folder."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind not in (0, stat.S_IFDIR if info.filename.endswith("/") else stat.S_IFREG)


def _common_folder(infos: list[zipfile.ZipInfo]) -> str:
    """``name/`` if every member lies in one folder of a plain name, else nothing."""
    heads = {info.filename.partition("/")[0] for info in infos}
    if len(heads) == 1 and all("/" in info.filename for info in infos):
        head = heads.pop()
        return f"{head}/" if _PLAIN.fullmatch(head) else ""
    return ""


def _check_directory(path: Path) -> None:
    """Bound the list of contents before it is read: every entry of it takes memory."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 22 - 2**16))
            tail = file.read()
    except OSError as error:
        raise cannot_read(path, error) from error
    start = tail.rfind(b"PK\5\6")
    if len(tail) >= 22 and tail[-22:-18] == b"PK\5\6" and tail[-2:] == b"\0\0":
        start = len(tail) - 22
    if start < 0 or len(tail) - start < 22:
        raise _unreadable(path, "it does not end like a zip file")
    count, length = struct.unpack_from("<HI", tail, start + 10)
    if b"PK\6\7" in tail[max(0, start - 20) : start] or length > MAX_DIRECTORY or count > MAX_FILES:
        raise Exp2SimError(
            f"The zip file {path} lists more files than a model has.", fix="Get the model again."
        )


def _unreadable(path: Path, error: object) -> Exp2SimError:
    return Exp2SimError(
        f"{path} cannot be read: {error}.", reason="It is damaged, or no model.", fix="Get it again."
    )
