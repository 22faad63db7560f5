"""Read what a user says of a fit: constants held, bounded, equal to another; scale and background."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mantid_exp2sim.errors import OptionError


def read_restrictions(fix: Iterable[str], bounds: Iterable[str], tie: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=MEV``, ``NAME=LOW,HIGH`` and ``NAME=OTHER`` as the fields of `FitOptions`.

    Raises `OptionError` with the option ``fix``, ``bounds`` or ``tie`` where a text cannot be read.

    >>> read_restrictions(["D=0"], ["J1=0.4,0.9"], ["J3 = J2"])
    {'fixed': {'D': 0.0}, 'bounds': {'J1': (0.4, 0.9)}, 'tied': {'J3': 'J2'}}
    """
    return {
        "fixed": {name: _numbers(text, value, 1, "fix")[0] for name, value, text in _pairs(fix, "fix")},
        "bounds": {
            name: _numbers(text, value, 2, "bounds") for name, value, text in _pairs(bounds, "bounds")
        },
        "tied": {name: other for name, other, _ in _pairs(tie, "tie")},
    }


def read_terms(*, absolute: bool, sloped: bool, empty: bool, smooth: bool) -> dict[str, Any]:
    """Read the switches of scale and background as the fields of `FitOptions`.

    Raises `OptionError` where two exclude each other.

    >>> read_terms(absolute=False, sloped=True, empty=False, smooth=False)
    {'scale': 'sloped', 'background': 'flat'}
    """
    if absolute and sloped:
        raise OptionError(
            "A scale cannot be absolute and sloped.", fix="Give one of the two.", option="absolute"
        )
    if empty and smooth:
        raise OptionError(
            "A background cannot be absent and smooth.", fix="Give one of the two.", option="background"
        )
    return {
        "scale": "fixed" if absolute else "sloped" if sloped else "each",
        "background": "none" if empty else "smooth" if smooth else "flat",
    }


def _pairs(texts: Iterable[str], option: str) -> list[tuple[str, str, str]]:
    """Split each text into name and value, and keep the text for messages."""
    pairs = []
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not (sign and name and value):
            raise OptionError(f"{option} {text} cannot be read.", fix="Give NAME=VALUE.", option=option)
        pairs.append((name, value, text))
    return pairs


def _numbers(text: str, value: str, count: int, option: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in value.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        shape = "NAME=MEV" if count == 1 else "NAME=LOW,HIGH"
        raise OptionError(f"{option} {text} cannot be read.", fix=f"Give {shape} in meV.", option=option)
    return values
