"""The bins of a histogram as a three-dimensional network sees them: momentum first, energy last.

Axes of one bin are left out of the resolution, and axes that are not there have one bin for the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import AxisError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.local_blur import (
    Covariances,
    LocalBlur,
    MeasuredBlur,
    Singles,
    local_blur,
    local_widths,
)

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class VolumeResolution:
    """The resolution on the bins of one histogram, laid out for the network. Built by `lay_out`.

    ``kernel`` is on the axes of more than one bin, ``order`` says how those are put for the network, whose
    volumes are of ``shape`` (n, m, l); ``widths`` (3, n, m, l) is the FWHM of the resolution in bins.
    """

    kernel: LocalBlur
    order: tuple[int, ...]
    shape: Shape
    widths: Singles

    def arranged(self, values: npt.ArrayLike) -> Singles:
        """Lay an array of the histogram out as (n, m, l)."""
        squeezed = np.asarray(values, dtype=np.float32).reshape(self.kernel.shape)
        return np.ascontiguousarray(squeezed.transpose(self.order)).reshape(self.shape)

    def restored(self, volume: npt.ArrayLike) -> Singles:
        """Undo `arranged`, on the axes of more than one bin."""
        sizes = [self.kernel.shape[axis] for axis in self.order]
        back = np.asarray(volume, dtype=np.float32).reshape(sizes).transpose(np.argsort(self.order))
        return np.ascontiguousarray(back)

    def on(self, mask: Booleans) -> ArrangedBlur:
        """Prepare the resolution of what was measured; ``mask`` of the histogram, True = not measured."""
        return ArrangedBlur(self, self.kernel.on(mask.reshape(self.kernel.shape)))


@dataclass(frozen=True, slots=True, eq=False)
class ArrangedBlur:
    """R on (n, m, l)."""

    layout: VolumeResolution
    inner: MeasuredBlur

    @property
    def measured(self) -> Singles:
        """1 where measured, else 0, (n, m, l)."""
        return self.layout.arranged(self.inner.measured)

    def blur(self, x: npt.ArrayLike) -> Singles:
        """Compute R x."""
        return self.layout.arranged(self.inner.blur(self.layout.restored(x)))

    def adjoint(self, y: npt.ArrayLike) -> Singles:
        """Compute Rᵀ y."""
        return self.layout.arranged(self.inner.adjoint(self.layout.restored(y)))


def lay_out(edges: Sequence[Floats], covariances: Covariances, energy: int | None) -> VolumeResolution:
    """Build the resolution on bins for the network.

    Parameters
    ----------
    edges
        Along each axis, (n + 1,).
    covariances
        Of the resolution, in the units of the edges, for centres along each axis.
    energy
        Which axis is the energy transfer, if any.
    """
    many = [axis for axis, line in enumerate(edges) if len(line) > 2]
    if not 1 <= len(many) <= 3:
        raise AxisError(
            f"The data have {len(many)} axes of more than one bin.",
            reason="The network takes one to three.",
            fix="Cut the data, or choose the method richardson-lucy.",
            wrong="axes",
        )
    places = {axis: place for place, axis in enumerate(axis for axis in many if axis != energy)}
    if energy in many:
        places[int(energy or 0)] = 2
    order = sorted(many, key=places.__getitem__)
    shape = [1, 1, 1]
    for axis in many:
        shape[places[axis]] = len(edges[axis]) - 1
    middles = [0.5 * (line[:1] + line[-1:]) for line in edges]

    def of_these(centres: list[Floats]) -> Floats:
        points = list(middles)
        for axis, line in zip(many, centres, strict=True):
            points[axis] = line
        covariance = covariances(points)[..., many, :][..., many]
        return covariance.reshape(*(len(line) for line in centres), len(many), len(many))

    lines = [np.asarray(edges[axis], dtype=np.float64) for axis in many]
    kernel = local_blur(lines, of_these)
    seen = local_widths(lines, of_these)
    layout = VolumeResolution(
        kernel,
        tuple(many.index(axis) for axis in order),
        (shape[0], shape[1], shape[2]),
        np.zeros(0, np.float32),
    )
    widths = np.zeros((3, *layout.shape), np.float32)
    for number, axis in enumerate(many):
        widths[places[axis]] = layout.arranged(seen[number])
    return VolumeResolution(layout.kernel, layout.order, layout.shape, widths)
