"""The errors of the package.

Bad input of any kind raises `Exp2SimError`: what went wrong, why, and the fix, as whole sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal


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

    def __init__(self, summary: str, *, reason: str = "", fix: str) -> None:
        self.summary = summary
        self.reason = reason
        self.fix = fix
        super().__init__(" ".join(part for part in (summary, reason, fix) if part))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep parts and fields through pickling, so that worker processes can raise it."""
        return _rebuild, (type(self), self.args, self.__dict__)


class OptionError(Exp2SimError):
    """A value of an option that is out of range, or missing: ``option`` is its name in Python."""

    def __init__(self, summary: str, *, reason: str = "", fix: str, option: str) -> None:
        super().__init__(summary, reason=reason, fix=fix)
        self.option = option


class IncidentEnergyError(OptionError):
    """An incident energy that is not known, or that a model or instrument does not take.

    ``value`` is in meV, None where it is not known.
    """

    def __init__(self, summary: str, *, reason: str = "", fix: str, value: float | None) -> None:
        super().__init__(summary, reason=reason, fix=fix, option="incident_energy")
        self.value = value


class AxisError(Exp2SimError):
    """An axis that a model does not take.

    ``kind`` is ``h``, ``k`` or ``energy``, or empty where it is all axes together; ``wrong`` says what of it.
    """

    def __init__(
        self,
        summary: str,
        *,
        reason: str = "",
        fix: str,
        kind: str = "",
        wrong: Literal["axes", "bins", "unit", "frame"],
    ) -> None:
        super().__init__(summary, reason=reason, fix=fix)
        self.kind, self.wrong = kind, wrong


class IncompleteMosaicError(Exp2SimError):
    """Data at fewer incident energies (``present``) than a classifier takes together (``expected``)."""

    def __init__(self, summary: str, *, reason: str = "", fix: str, expected: int, present: int) -> None:
        super().__init__(summary, reason=reason, fix=fix)
        self.expected, self.present = expected, present


class NotFiniteError(Exp2SimError):
    """A network's result that is not finite."""


class OutsideDomainError(Exp2SimError):
    """Data outside the model's domain of application.

    ``p_value`` is the share of in-domain spectra that look as foreign or more, ``score`` what it ranks, and
    ``limit`` the score above which data are refused.
    """

    def __init__(
        self,
        summary: str,
        *,
        reason: str = "",
        fix: str,
        p_value: float | None,
        score: float | None,
        limit: float | None,
    ) -> None:
        super().__init__(summary, reason=reason, fix=fix)
        self.p_value, self.score, self.limit = p_value, score, limit


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question about the nearest of the names that there are; empty where none is near.

    >>> did_you_mean("deconvolv", ["convolve", "deconvolve"])
    "Did you mean 'deconvolve'? "
    >>> did_you_mean("fit", ["plot"])
    ''
    """
    from difflib import get_close_matches

    nearest = get_close_matches(name, list(names), n=1)
    return f"Did you mean {nearest[0]!r}? " if nearest else ""


def require(value: object, kinds: type | tuple[type, ...], takes: str, *, fix: str) -> None:
    """Raise `Exp2SimError` where an argument is of another type than ``kinds``; ``takes`` says it in words.

    >>> require(None, str, "the name of a file", fix="Give a name.")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: Got a NoneType. It takes the name of a file. Give a name.
    """
    if not isinstance(value, kinds):
        raise Exp2SimError(f"Got a {type(value).__name__}.", reason=f"It takes {takes}.", fix=fix)


def _rebuild(kind: type[Exp2SimError], args: tuple[Any, ...], fields: Mapping[str, Any]) -> Exp2SimError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class Cancelled(Exception):
    """A run that was stopped on request; nothing of it is left behind."""
