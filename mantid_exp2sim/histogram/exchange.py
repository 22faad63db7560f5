"""A histogram in a notebook, and as objects of other libraries, which are imported where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram.display import html_of, words_of
from mantid_exp2sim.histogram.exchange_parts import Binned, Parts

if TYPE_CHECKING:
    import scipp
    import xarray


class Exchange:
    """Conversions to scipp and xarray and back, and what a notebook shows."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, *parts: Any) -> None: ...

    def __repr__(self: Binned) -> str:
        return words_of(self)

    def _repr_html_(self: Binned) -> str:
        return html_of(self)

    def to_scipp(self: Binned) -> scipp.DataArray:
        """Return a `scipp.DataArray` with bin edges, variances and the mask ``not_measured``.

        Units are those that scipp knows; r.l.u. are dimensionless there. A coordinate ``mantid_exp2sim``
        holds names, frames and metadata for the way back. What else the file held is left out.

        Raises
        ------
        Exp2SimError
            If scipp is not installed, or two axes have one name.
        """
        with _needs("scipp"):
            from mantid_exp2sim.histogram.exchange_scipp import to_scipp

            return to_scipp(self)

    @classmethod
    def from_scipp(cls, array: scipp.DataArray) -> Self:
        """Make a histogram of a `scipp.DataArray` with one number in each bin.

        A bin is masked where any mask is true or the value is not finite. Coordinates are bin edges, or
        centres, between which edges are put half-way. Without variances the errors are not known (0). An axis
        that was sliced away since `to_scipp` is told in the metadata ``integrated``.

        Raises
        ------
        Exp2SimError
            If an axis has no coordinate, or the bins hold events.
        """
        with _needs("scipp"):
            from mantid_exp2sim.histogram.exchange_scipp import from_scipp

            parts: Parts = from_scipp(array)
        return cls(*parts)

    def to_xarray(self: Binned) -> xarray.Dataset:
        """Return an `xarray.Dataset` of ``intensity``, ``variance`` and ``not_measured``.

        Coordinates are bin centres; ``…_bounds`` are the borders of the bins. The attribute
        ``mantid_exp2sim`` holds names, frames and metadata for the way back.

        Raises
        ------
        Exp2SimError
            If xarray is not installed, or two axes have one name.
        """
        with _needs("xarray"):
            from mantid_exp2sim.histogram.exchange_xarray import to_xarray

            return to_xarray(self)

    @classmethod
    def from_xarray(cls, data: xarray.Dataset | xarray.DataArray) -> Self:
        """Make a histogram of an `xarray.Dataset` as `to_xarray` makes them, or of a DataArray.

        A bin is masked where ``not_measured`` is true or the intensity is not finite. Without
        ``…_bounds``, bin edges are half-way between the coordinates.

        Raises
        ------
        Exp2SimError
            If an axis has no coordinate, or bins were left out between others.
        """
        with _needs("xarray"):
            from mantid_exp2sim.histogram.exchange_xarray import from_xarray

            parts: Parts = from_xarray(data)
        return cls(*parts)


@contextmanager
def _needs(library: str) -> Iterator[None]:
    """Say what to install where an import fails."""
    try:
        yield
    except ImportError as error:
        raise Exp2SimError(
            f"{library} is not installed.",
            fix=f"Install it with `pip install {library}` or `conda install -c conda-forge {library}`.",
        ) from error
