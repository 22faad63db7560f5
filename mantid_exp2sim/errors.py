"""The errors of the package.

Bad input of any kind raises `Exp2SimError`: what went wrong, why, and the way out, as whole sentences.
"""

from __future__ import annotations


class Exp2SimError(ValueError):
    """Input that cannot be used: a file, an array, a setting or a model.

    Parameters
    ----------
    what
        What went wrong, naming the value that was got.
    why
        Why that is a problem, naming the values that are taken.
    way_out
        What the user can do.

    Examples
    --------
    >>> print(Exp2SimError("The array is 3-D.", way_out="Select one picture."))
    The array is 3-D. Select one picture.
    """

    def __init__(self, what: str, *, why: str = "", way_out: str = "") -> None:
        self.what = what
        self.why = why
        self.way_out = way_out
        super().__init__(" ".join(part for part in (what, why, way_out) if part))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three parts through pickling, so that worker processes can raise it."""
        return _rebuild, (type(self), self.what, self.why, self.way_out)


def require(value: object, kinds: type | tuple[type, ...], takes: str, *, way_out: str = "") -> None:
    """Raise `Exp2SimError` where an argument is of another type than ``kinds``; ``takes`` says it in words.

    >>> require(None, str, "the name of a file")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: Got a NoneType. It takes the name of a file.
    """
    if not isinstance(value, kinds):
        raise Exp2SimError(f"Got a {type(value).__name__}.", why=f"It takes {takes}.", way_out=way_out)


def _rebuild(kind: type[Exp2SimError], what: str, why: str, way_out: str) -> Exp2SimError:
    return kind(what, why=why, way_out=way_out)


class Cancelled(Exception):
    """A run that was stopped on request; nothing of it is left behind."""
