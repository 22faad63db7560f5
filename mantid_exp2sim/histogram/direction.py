"""Directions in reciprocal space: how files name them, and how they are named here."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError

Vector = tuple[float, float, float]

_LETTERS = "HKL"
_TOLERANCE = 1e-4
_LETTER = r"h|k|l|zeta|eta|xi|ζ|η|ξ"
_TERM = re.compile(rf"([+-]?)(\d+(?:\.\d*)?|\.\d+)?\*?({_LETTER})?(?:/(\d+))?")
_SHORT = re.compile(rf"(?:-?(?:{_LETTER}|[01])){{3}}")
"""Three components without anything between them, such as ``H00`` or ``-110``."""


@lru_cache(maxsize=1024)
def read_direction(text: str) -> tuple[Vector, Vector] | None:
    """Read the direction and the offset that the name of an axis tells, both in (h, k, l); None without one.

    The offset is where the coordinate is 0. Numbers without a letter are a direction.

    >>> read_direction("[-K,2K,0]"), read_direction("['zeta', 'zeta', 0]")
    (((-1.0, 2.0, 0.0), (0.0, 0.0, 0.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 0.0)))
    >>> read_direction("[H, 0.5, 0]"), read_direction("[HH0]")
    (((1.0, 0.0, 0.0), (0.0, 0.5, 0.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 0.0)))
    >>> read_direction("[H,K,0]") is None, read_direction("Q_sample_x") is None
    (True, True)
    """
    plain = re.sub(r"['\"]", "", text.strip().lower())
    if plain in ("h", "k", "l"):
        plain = f"[{','.join(plain if plain == letter else '0' for letter in 'hkl')}]"
    match = re.fullmatch(r"[\[(]\s*([^\])]*?)\s*[\])]", plain)
    if match is None:
        return None
    content = re.sub(r"\s*([+*/])\s*|(?<=\w)\s+(-)\s+", r"\1\2", match.group(1))
    parts = re.findall(rf"-?(?:{_LETTER}|[01])", content) if _SHORT.fullmatch(content) else None
    parts = parts or re.split(r"\s*[,;]\s*|\s+", content)
    components = [_component(part) for part in parts]
    if len(components) != 3 or any(component is None for component in components):
        return None
    slopes, constants, letters = zip(*(c for c in components if c is not None), strict=True)
    if len(set().union(*letters)) > 1:
        return None
    direction, offset = (slopes, constants) if any(slopes) else (constants, (0.0, 0.0, 0.0))
    return (direction, offset) if any(direction) else None


def _component(part: str) -> tuple[float, float, set[str]] | None:
    """Read a sum such as ``1+0.5h``: what stands before a letter, what stands alone, and the letters."""
    slope, constant, position = 0.0, 0.0, 0
    letters: set[str] = set()
    while position < len(part):
        match = _TERM.match(part, position)
        if match is None or match.end() == position or not (match[2] or match[3]):
            return None
        if (position and not match[1]) or (match[4] and not int(match[4])):
            return None
        value = float(match[2] or 1) / float(match[4] or 1) * (-1 if match[1] == "-" else 1)
        if match[3]:
            slope, letters = slope + value, letters | {match[3]}
        else:
            constant += value
        position = match.end()
    return (slope, constant, letters) if part else None


def direction_name(vector: npt.ArrayLike, letter: str = "") -> str:
    """Name a direction in reciprocal space, as Mantid does, from its (h, k, l) per unit of the coordinate.

    The letter is that of the largest component; of equal ones it is ``letter``, or the first. Components
    below 1e-4 of the largest count as 0.

    Examples
    --------
    >>> direction_name([1, 0, 0]), direction_name([1, 1, 0]), direction_name([-1, 1, 0], "K")
    ('[H,0,0]', '[H,H,0]', '[-K,K,0]')
    >>> direction_name([0, 0.5, 1]), direction_name([-1, 2, 0])
    ('[0,0.5L,L]', '[-K,2K,0]')
    """
    values = np.asarray(vector, dtype=np.float64)
    size = float(np.max(np.abs(values), initial=0.0))
    if values.shape != (3,) or not np.isfinite(size) or size == 0:
        raise Exp2SimError(
            f"{values.tolist()} is no direction in reciprocal space.",
            fix="Give three finite numbers (h, k, l), at least one of them not 0.",
        )
    values = np.where(np.abs(values) < _TOLERANCE * size, 0.0, values)
    largest = [_LETTERS[i] for i in np.flatnonzero(np.abs(values) > size * (1 - _TOLERANCE))]
    letter = letter if letter in largest else largest[0]
    return "[" + ",".join(_term(float(value), letter) for value in values) + "]"


def _term(value: float, letter: str) -> str:
    if value == 0:
        return "0"
    text = f"{value:.4g}"
    return {"1": letter, "-1": f"-{letter}"}.get(text, text + letter)
