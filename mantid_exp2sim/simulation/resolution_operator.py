"""The instrument's resolution on binned volumes, as a linear operator of torch.

From an ``integrated`` volume (the bin means of S(Q, E)) to the ``convolved`` one on the same bins. It is the
Gaussian of `resolution.covariance`, integrated exactly over source and target bins: separable matrices along
h, k and E whose widths follow the energy, and the correlations of h, k with E and of h with k to first order,
as in `binning`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.simulation.binning import Binning, fine_energies, interpolated
from mantid_exp2sim.simulation.constants import SAME_ENERGY
from mantid_exp2sim.simulation.instrument import MAPS, Instrument
from mantid_exp2sim.simulation.manganite import LATTICE
from mantid_exp2sim.simulation.manganite_spectrum import resolution_fits
from mantid_exp2sim.simulation.resolution import blur_matrices

FILLED = 0.65
"""Share of a bin, along each axis, over which its content is spread before it is blurred.

What a bin holds lies somewhere inside it: spread over all of it, a narrow line would be blurred twice. 0.65
comes nearest to the simulated pairs of 60 validation mosaics: relative L2 of R·integrated to convolved 0.106
(25 to 140 meV: 0.090 0.118 0.127 0.148 0.152 0.154); 0.148 with 1, 0.112 with 0.5, 0.117 if the unknown bins
were taken for 0, 0.215 without the operator. The rest is where in the bins the lines lie."""


class ResolutionOperator(nn.Module):
    """R of one or several incident energies, all of the same number of bins.

    What lies outside the volume, or where ``mask`` says so, is unknown: a bin's blurred value is divided by
    the share of its weight that comes from known bins, so that a constant stays constant. Linear, and
    differentiable; single precision, also under autocast.

    >>> from mantid_exp2sim.simulation.binning import mosaic_binnings
    >>> R = ResolutionOperator(mosaic_binnings())
    >>> x = torch.ones(2, 40, 40, 10)
    >>> bool(torch.allclose(R(x, torch.tensor([25.0, 70.0])), x, atol=1e-2))
    True
    """

    energies: Tensor
    blur_e: Tensor
    drift_e: Tensor
    blur_h: Tensor
    drift_h: Tensor
    blur_k: Tensor
    drift_k: Tensor
    radial: Tensor
    whole: Tensor

    def __init__(
        self,
        binnings: Sequence[Binning],
        *,
        instrument: Instrument = MAPS,
        lattice: tuple[float, float] = (LATTICE[0], LATTICE[1]),
        filled: float = FILLED,
        along: Collection[str] = AXES,
    ) -> None:
        """Build the matrices of one or more binnings of the same shape.

        ``lattice``: 2π over the length of one r.l.u. along h and k, in Å. ``along``: the axes that are
        blurred, of h, k and energy. Without the others it is the resolution of
        each cut alone, which is what one sees if the neighbouring cuts hold the same.
        """
        super().__init__()
        if not binnings or len({binning.shape for binning in binnings}) != 1:
            raise Exp2SimError(
                "A resolution operator takes one or more binnings of the same shape.",
                reason=f"Got {[binning.shape for binning in binnings]}.",
                fix="Build one operator for each shape.",
            )
        self.shape = binnings[0].shape
        parts = [_matrices(binning, instrument, lattice, filled, along) for binning in binnings]
        self.register_buffer("energies", torch.tensor([b.incident_energy for b in binnings]))
        for name in _Matrices.__dataclass_fields__:
            stacked = np.stack([getattr(part, name) for part in parts])
            self.register_buffer(name, torch.from_numpy(stacked).float())

    def which(self, incident_energy: Tensor) -> Tensor:
        """Find the number of the binning of each incident energy (B,) in meV: the nearest, within 1 %."""
        distance = (incident_energy.to(self.energies)[:, None] / self.energies).log().abs()
        nearest: Tensor = distance.argmin(1)
        if bool((distance.gather(1, nearest[:, None]) > SAME_ENERGY).any()):
            raise Exp2SimError(
                f"No resolution for incident energies {incident_energy.tolist()} meV.",
                reason=f"The operator has {self.energies.tolist()}.",
                fix="Build the operator with binnings of these energies.",
            )
        return nearest

    def forward(self, x: Tensor, incident_energy: Tensor, mask: Tensor | None = None) -> Tensor:
        """Blur volumes (B, h, k, E) in physical units; ``incident_energy`` (B,) in meV.

        ``mask`` (B, h, k, E) or (h, k, E), 1 or True = not measured: not read, and 0 in the result.
        """
        self._validate(x, incident_energy)
        return self.at(incident_energy, mask).blur(x)

    def adjoint(self, y: Tensor, incident_energy: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply the transpose: ⟨R x, y⟩ = ⟨x, Rᵀ y⟩ for every x; arguments as in `forward`."""
        self._validate(y, incident_energy)
        return self.at(incident_energy, mask).adjoint(y)

    def at(self, incident_energy: Tensor, mask: Tensor | None = None) -> Resolution:
        """Prepare R for volumes of these incident energies and masks, to use it more than once."""
        which = self.which(incident_energy)
        shape = (len(which), *self.shape)
        with torch.no_grad(), torch.autocast(which.device.type, enabled=False):
            everywhere = torch.ones(shape, device=which.device)
            measured = everywhere if mask is None else 1 - mask.to(everywhere).expand(shape)
            names = (name for name in _Matrices.__dataclass_fields__ if name != "whole")
            matrices = {name: getattr(self, name)[which] for name in names}
            resolution = Resolution(**matrices, measured=measured, share=measured)
            # a measured bin keeps most of its own weight; the floor is for bins beside nothing
            share = measured * self.whole[which] / resolution.core(measured).clamp_min(0.05)
            return replace(resolution, share=share)

    def _validate(self, x: Tensor, incident_energy: Tensor) -> None:
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape or incident_energy.shape != x.shape[:1]:
            raise Exp2SimError(
                f"The resolution takes volumes (B, {', '.join(map(str, self.shape))}) and energies (B,).",
                reason=f"Got {tuple(x.shape)} and {tuple(incident_energy.shape)}.",
                fix="Cut the volumes into the bins that the operator was built with.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """R for a batch of volumes (B, h, k, E). Made by `ResolutionOperator.at`.

    ``measured`` is 1 where measured, ``share`` 1 over the measured share of the weight of a blurred bin.
    """

    blur_e: Tensor
    drift_e: Tensor
    blur_h: Tensor
    drift_h: Tensor
    blur_k: Tensor
    drift_k: Tensor
    radial: Tensor
    measured: Tensor
    share: Tensor

    def blur(self, x: Tensor) -> Tensor:
        """Compute R x."""
        with torch.autocast(x.device.type, enabled=False):
            return self.core(x.float() * self.measured) * self.share

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute Rᵀ y."""
        with torch.autocast(y.device.type, enabled=False):
            planes = _planes(y.float() * self.share)
            first, second = self.blur_h.mT @ planes, self.drift_h.mT @ planes
            bk, dk, radial = self.blur_k, self.drift_k, self.radial[:, :, None, None]
            w = first @ bk + radial * (second @ dk)
            s = first @ dk + second @ bk
            planes = _along_energy(self.blur_e.mT, w) + _along_energy(self.drift_e.mT, s)
            return _volumes(planes) * self.measured

    def core(self, x: Tensor) -> Tensor:
        """Blur what is measured, without regard to what is not."""
        planes = _planes(x)
        w, s = _along_energy(self.blur_e, planes), _along_energy(self.drift_e, planes)
        bk, dk, radial = self.blur_k.mT, self.drift_k.mT, self.radial[:, :, None, None]
        first = self.blur_h @ (w @ bk + s @ dk)
        return _volumes(first + self.drift_h @ (s @ bk + radial * (w @ dk)))


def _planes(x: Tensor) -> Tensor:
    """(B, h, k, E) to contiguous (B, E, h, k), on which matrix products are quick."""
    return x.permute(0, 3, 1, 2).contiguous()


def _volumes(planes: Tensor) -> Tensor:
    return planes.permute(0, 2, 3, 1)


def _along_energy(matrix: Tensor, planes: Tensor) -> Tensor:
    return (matrix @ planes.flatten(2)).reshape(planes.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Matrices:
    """Of one incident energy: rows are target bins, columns source bins; ``h`` and ``k`` per target energy.

    ``drift_e`` is the derivative by the source's energy times cov(Q, E)/Q, ``drift_h`` and ``drift_k`` those
    by the source's h and k times h and k. ``whole`` (h, k, E) is the weight with no bin unknown.
    """

    blur_e: Floats
    drift_e: Floats
    blur_h: Floats
    drift_h: Floats
    blur_k: Floats
    drift_k: Floats
    radial: Floats
    whole: Floats


def _matrices(
    binning: Binning,
    instrument: Instrument,
    lattice: tuple[float, float],
    filled: float,
    along: Collection[str],
) -> _Matrices:
    at = fine_energies(binning)
    fits = resolution_fits(instrument, binning.incident_energy, at)
    middle = binning.centres[2]
    yy, zz, radial, slope = interpolated(middle, at, fits, "yy", "zz", "radial", "slope")
    axes = {
        "h": _across(binning.h_edges, yy, radial, lattice[0], filled),
        "k": _across(binning.k_edges, zz, radial, lattice[1], filled),
    }
    q2 = sum(
        float(np.mean((2 * np.pi / length * centres) ** 2))
        for centres, length in zip(binning.centres[:2], lattice, strict=True)
    )
    source = _Source(binning.energy_edges, filled)
    ee, ee_q2 = interpolated(source.centre, at, fits, "ee", "ee_q2")
    blur_e, slope_e, whole_e = source.blur(np.sqrt(ee + ee_q2 * q2))
    axes["energy"] = blur_e, slope_e * slope, whole_e
    (blur_h, drift_h, whole_h), (blur_k, drift_k, whole_k), (blur_e, drift_e, whole_e) = (
        axes[axis] if axis in along else _no_blur(*axes[axis]) for axis in AXES
    )
    whole = np.einsum("eh,ek,e->hke", whole_h, whole_k, whole_e)
    return _Matrices(blur_e, drift_e, blur_h, drift_h, blur_k, drift_k, radial, whole)


def _across(
    edges: Floats, base: Floats, radial: Floats, length: float, filled: float
) -> tuple[Floats, Floats, Floats]:
    """Blur, drift and row sums along h or k, per target energy: variances ``base`` + ``radial`` Q²."""
    line = _Source(edges, filled)
    variance = base[:, None] * (length / (2 * np.pi)) ** 2 + radial[:, None] * line.centre**2
    parts = [line.blur(width) for width in np.sqrt(np.maximum(variance, 1e-12))]
    blur, slope, whole = (np.stack(column) for column in zip(*parts, strict=True))
    return blur, slope * line.inside, whole


def _no_blur(blur: Floats, drift: Floats, whole: Floats) -> tuple[Floats, Floats, Floats]:
    """Matrices and row sums, of the same shapes, that leave what they are given."""
    return np.broadcast_to(np.eye(blur.shape[-1]), blur.shape), np.zeros_like(drift), np.ones_like(whole)


def _middle(edges: Floats) -> Floats:
    return np.asarray(0.5 * (edges[1:] + edges[:-1]))


class _Source:
    """The bins of an axis, continued as far beyond both ends as they reach, as sources of a blur."""

    def __init__(self, edges: Floats, filled: float) -> None:
        self.edges = edges
        self.count = edges.size - 1
        low, high = (edges[0] - np.cumsum(np.diff(edges)))[::-1], edges[-1] + np.cumsum(np.diff(edges)[::-1])
        continued = np.concatenate([low, edges, high])
        self.centre = _middle(continued)
        self.half = 0.5 * filled * np.diff(continued)
        self.filled = filled

    @property
    def inside(self) -> Floats:
        """Centres of the bins themselves."""
        return _middle(self.edges)

    def blur(self, sigma: Floats) -> tuple[Floats, Floats, Floats]:
        """Compute the matrix, its derivative by the source (n, n), and row sums with the continuation."""
        value, slope = blur_matrices(self.edges, self.centre - self.half, self.centre + self.half, sigma)
        value, slope = value / self.filled, slope / self.filled
        inside = slice(self.count, 2 * self.count)
        return value[:, inside], slope[:, inside], value.sum(1)
