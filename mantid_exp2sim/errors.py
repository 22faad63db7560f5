"""The errors of the package.

Bad input of any kind raises `Exp2SimError`: what went wrong, why, and the fix, as whole sentences.
"""

from __future__ import annotations


class Exp2SimError(ValueError):
    """Input that cannot be used: a file, an array, a setting or a model.

    Parameters
    ----------
    summary
        What went wrong, naming the value that was got.
    reason
        Why that is a problem, naming the values that are taken.
    fix
        What the user can do.

    Examples
    --------
    >>> print(Exp2SimError("The array is 3-D.", fix="Select one picture."))
    The array is 3-D. Select one picture.
    """

    def __init__(self, summary: str, *, reason: str = "", fix: str = "") -> None:
        self.summary = summary
        self.reason = reason
        self.fix = fix
        super().__init__(" ".join(part for part in (summary, reason, fix) if part))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three parts through pickling, so that worker processes can raise it."""
        return _rebuild, (type(self), self.summary, self.reason, self.fix)


def require(value: object, kinds: type | tuple[type, ...], takes: str, *, fix: str = "") -> None:
    """Raise `Exp2SimError` where an argument is of another type than ``kinds``; ``takes`` says it in words.

    >>> require(None, str, "the name of a file")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: Got a NoneType. It takes the name of a file.
    """
    if not isinstance(value, kinds):
        raise Exp2SimError(f"Got a {type(value).__name__}.", reason=f"It takes {takes}.", fix=fix)


def _rebuild(kind: type[Exp2SimError], summary: str, reason: str, fix: str) -> Exp2SimError:
    return kind(summary, reason=reason, fix=fix)


class Cancelled(Exception):
    """A run that was stopped on request; nothing of it is left behind."""
