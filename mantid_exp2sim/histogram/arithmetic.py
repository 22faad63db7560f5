"""Sums, differences, products and quotients of intensities, with first-order propagation of their errors."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Literal, Self, SupportsFloat

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.axis import Axis, Floats

Operation = Literal["add", "subtract", "multiply", "divide"]
SYMBOLS: dict[Operation, str] = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_VALUES: dict[Operation, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}
SAME_EDGES = 1e-3
"""Edges count as the same where they differ by less than this share of the narrowest bin."""


def combine(
    operation: Operation, values: tuple[Any, Any], variances: tuple[Any, Any]
) -> tuple[Floats, Floats]:
    """Return the value and the variance of left and right, whose errors are taken as independent.

    >>> combine("divide", (np.array([8.0]), 2.0), (np.array([4.0]), 0.0))
    (array([4.]), array([1.]))
    >>> combine("multiply", (np.array([3.0]), np.array([2.0])), (np.array([1.0]), np.array([1.0])))
    (array([6.]), array([13.]))
    """
    (left, right), (left_variance, right_variance) = values, variances
    with np.errstate(all="ignore"):
        value = _VALUES[operation](left, right)
        if operation in ("add", "subtract"):
            variance = left_variance + right_variance
        elif operation == "multiply":
            variance = right**2 * left_variance + left**2 * right_variance
        else:
            variance = (left_variance + value**2 * right_variance) / np.square(right, dtype=np.float64)
    return value, np.broadcast_to(variance, np.shape(value))


def require_same_axes(left: tuple[Axis, ...], right: tuple[Axis, ...], operation: Operation) -> None:
    """Raise `Exp2SimError` where two histograms do not have the same bins, and name the axis."""
    for axis, counterpart in zip_longest(left, right):
        if axis is None or counterpart is None or not _same(axis, counterpart):
            raise Exp2SimError(
                f"The two histograms differ in the axis {(axis or counterpart).name!r}.",
                reason=f"Bins that are combined with {SYMBOLS[operation]} must be the same.",
                fix="Bring both onto the same bins with rebin, cut or transpose.",
            )


def require_number(value: SupportsFloat, operation: Operation, *, divides: bool) -> float:
    """Return a number as float; raise `Exp2SimError` for one that would leave no finite value."""
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number) or (operation == "divide" and number == 0 and divides):
        raise Exp2SimError(
            f"A histogram {SYMBOLS[operation]} {number:g} has no finite values.", fix="Give another number."
        )
    return number


def _same(left: Axis, right: Axis) -> bool:
    if left.kind != right.kind or left.direction != right.direction or left.offset != right.offset:
        return False
    if left.kind is None and left.direction is None and left.name != right.name:
        return False
    if left.unit != right.unit or left.size != right.size:
        return False
    slack = SAME_EDGES * float(left.widths.min())
    return bool(np.allclose(left.edges, right.edges, rtol=0, atol=slack))


class Operators:
    """The operators ``+ - * /`` with a number or with a histogram of the same axes.

    A bin is masked where it is masked in either, and where the result is no finite number (as after a
    division by 0). Errors of the two are taken as independent. The metadata are those of the left, without
    what the right tells differently.
    """

    __slots__ = ()
    __array_ufunc__ = None
    """Numbers and arrays of numpy leave the operators to the histogram."""

    def _combined(self, operation: Operation, other: Any, *, reflected: bool = False) -> Self:
        raise NotImplementedError

    def __add__(self, other: Any) -> Self:
        return self._combined("add", other)

    def __sub__(self, other: Any) -> Self:
        return self._combined("subtract", other)

    def __mul__(self, other: Any) -> Self:
        return self._combined("multiply", other)

    def __truediv__(self, other: Any) -> Self:
        return self._combined("divide", other)

    def __radd__(self, other: Any) -> Self:
        return self._combined("add", other, reflected=True)

    def __rsub__(self, other: Any) -> Self:
        return self._combined("subtract", other, reflected=True)

    def __rmul__(self, other: Any) -> Self:
        return self._combined("multiply", other, reflected=True)

    def __rtruediv__(self, other: Any) -> Self:
        return self._combined("divide", other, reflected=True)
