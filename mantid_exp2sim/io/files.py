"""Errors of readers: which file they are about, and what to do where it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError


def damaged(summary: str, *, reason: str = "The file is damaged or incomplete.") -> Exp2SimError:
    """Return the error to raise where the content of a file is not what its format says.

    >>> print(damaged("The image has 0 bins."))
    The image has 0 bins. The file is damaged or incomplete. Copy or write it again.
    """
    return Exp2SimError(summary, reason=reason, fix="Copy or write it again.")


@contextmanager
def reading(path: Path, *symptoms: type[Exception]) -> Iterator[None]:
    """Name the file in the errors of a block; `symptoms` are what a damaged file makes its reader raise.

    Examples
    --------
    >>> with reading(Path("cut.d2d"), ValueError):
    ...     float("one")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: cut.d2d cannot be read: could not convert string to float: 'one'. ...
    """
    try:
        yield
    except Exp2SimError as error:
        if str(path) in error.summary:
            raise
        raise Exp2SimError(f"{path}: {error.summary}", reason=error.reason, fix=error.fix) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise Exp2SimError(f"{path} cannot be read: {error.strerror}.", fix=_fix(error)) from error
        if isinstance(error, MemoryError) or not isinstance(error, symptoms):
            raise
        raise damaged(f"{path} cannot be read: {error or type(error).__name__}.") from error


def _fix(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "Check its name and folder."
    if isinstance(error, IsADirectoryError):
        return "Name the file itself."
    return "Make sure that you may read it, and that its disk is there."
