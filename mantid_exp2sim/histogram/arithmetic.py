"""Sums, differences, products and quotients of intensities, with first-order propagation of their errors."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np

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


def differing_axis(left: tuple[Axis, ...], right: tuple[Axis, ...]) -> Axis | None:
    """Return the first axis of the left that the right has not at the same place, or None."""
    for index, axis in enumerate(left):
        if index >= len(right) or not _same(axis, right[index]):
            return axis
    return right[len(left)] if len(right) > len(left) else None


def _same(left: Axis, right: Axis) -> bool:
    names = left.name == right.name if left.kind is None else left.kind == right.kind
    if not names or left.unit != right.unit or left.size != right.size:
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
