"""Excitations of any kind from a function of Q: energies and intensities, seen with the full resolution.

Whatever gives energies and intensities at (h, k, l) can be simulated and fitted: a formula, phonons, a model
of another program. It is asked on layers of constant energy transfer, on the surface in (Q, E) that the
kinematics allow; a mode is seen where its energy is that of the layer, between two of them by linear
interpolation, with the Jacobian |1 - ∂ω/∂Q∥ · ∂Q∥/∂E|. The resolution is applied as in `binning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Projection
from mantid_exp2sim.simulation.binning import (
    Binning,
    Branches,
    Indices,
    Kind,
    Lines,
    energy_histograms,
    fine_energies,
    lines_at_centres,
    plane_blurs,
    radial_fits,
    to_bins,
    validate_kind,
)
from mantid_exp2sim.simulation.branches import STEEPEST, cartesian_q, resolution_widths
from mantid_exp2sim.simulation.coverage import coverage_mask
from mantid_exp2sim.simulation.material import Lattice, Parameter, View
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution import RadialResolution
from mantid_exp2sim.simulation.twins import Plane, Twin, make_plane, oriented

LAYERS_PER_WIDTH = 1.0
"""Layers of energy per standard deviation of the resolution at its narrowest."""
MOST_LAYERS = 200


@runtime_checkable
class ExcitationModel(Protocol):
    """What gives energies and intensities at any Q."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def lattice(self) -> Lattice:
        """The cell in whose reciprocal units h, k and l are given."""

    @property
    def view(self) -> View:
        """The two axes of a volume; the beam is normal to both."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Constants by name, each with its value and the range that a fit searches."""

    def excitations(self, q: Floats, constants: Floats) -> tuple[Floats, Floats]:
        """Compute energies (P, n) in meV and intensities (P, n) at ``q`` (P, 3) in r.l.u.

        ``constants`` (p,) in the order of ``parameters``. Intensities are integrated over energy, in
        mb sr⁻¹ per formula unit or in units of the user's own. A mode keeps its place along n.
        """


@dataclass(frozen=True, slots=True, eq=False)
class FunctionModel:
    """A plain function as an `ExcitationModel`.

    ``function(q, **constants)`` takes q (P, 3) in r.l.u. and returns energies (P, n) and intensities (P, n).

    >>> chain = FunctionModel(
    ...     "chain",
    ...     lambda q, J: (4 * abs(J) * (1 - np.cos(2 * np.pi * q[:, :1])), np.ones((len(q), 1))),
    ...     {"J": Parameter(value=-2.0, range=(-5.0, 0.0))},
    ...     Lattice(a=4, b=4, c=4),
    ... )
    >>> energy, intensity = chain.excitations(np.array([[0.5, 0.0, 0.0]]), np.array([-2.0]))
    >>> energy.tolist(), intensity.tolist()
    ([[16.0]], [[1.0]])
    """

    name: str
    function: Callable[..., tuple[Floats, Floats]]
    parameters: Mapping[str, Parameter]
    lattice: Lattice
    view: View = field(default_factory=View)

    def excitations(self, q: Floats, constants: Floats) -> tuple[Floats, Floats]:
        """Call the function."""
        named = dict(zip(self.parameters, constants.tolist(), strict=True))
        return self.function(q, **named)


@dataclass(frozen=True, slots=True, eq=False)
class ModelExcitations:
    """A model with its constants, ready for every incident energy, binning and kind: as `options.SpinWaves`.

    Build with `solve_excitations`.
    """

    source: ExcitationModel
    parameters: Floats
    options: Options
    twin: Twin
    left_out: dict[tuple[Binning, Kind], int] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.source.name

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. of the two axes of view, in Å."""
        return self.twin.lengths

    @property
    def projection(self) -> Projection:
        """The two axes of view."""
        return self.source.view.projection(self.source.lattice)

    @property
    def cell(self) -> tuple[float, ...]:
        """a, b, c in Å, alpha, beta, gamma in degrees."""
        return self.source.lattice.cell

    def not_covered(self, binning: Binning) -> Booleans:
        """Find the bins of a volume that no detector reaches, True = not measured."""
        edges = binning.h_edges, binning.k_edges, binning.energy_edges
        instrument, ei = self.options.instrument, binning.incident_energy
        return coverage_mask(*edges, ei, lattice=self.lattice, instrument=instrument)

    def reach(self, binning: Binning) -> float:
        """Return the largest |Q| in Å⁻¹ along an axis of view."""
        pairs = zip((binning.h_edges, binning.k_edges), self.lattice, strict=True)
        return max(2 * np.pi / length * float(np.abs(edges).max()) for edges, length in pairs)

    def fits(self, binning: Binning) -> tuple[RadialResolution, ...]:
        """Fit the resolution at the `fine_energies` of a binning."""
        at = fine_energies(binning)
        return radial_fits(self.options.instrument, binning.incident_energy, at, 1.07 * self.reach(binning))

    def volume(self, binning: Binning, kind: Kind = "convolved") -> Floats:
        """Compute intensities (nh, nk, nE), as in `options.SpinWaves`."""
        validate_kind(kind)
        self.left_out[binning, kind] = 0
        return np.maximum(_centre(self, binning) if kind == "centre" else _binned(self, binning, kind), 0.0)

    def excitations(self, q: Floats) -> tuple[Floats, Floats]:
        """Ask the model at Cartesian ``q`` (P, 3) in Å⁻¹."""
        hkl = q @ self.source.lattice.vectors().T / (2 * np.pi)
        energy, intensity = (
            np.asarray(x, dtype=float) for x in self.source.excitations(hkl, self.parameters)
        )
        if energy.ndim != 2 or energy.shape != intensity.shape or len(energy) != len(q):
            raise Exp2SimError(
                f"The model {self.model} gave arrays of shapes {energy.shape} and {intensity.shape}.",
                reason=f"At {len(q)} points it takes ({len(q)}, n) for both.",
                fix="Return energies and intensities with a row for each point, a column for each mode.",
            )
        return energy, np.where(np.isfinite(energy), np.maximum(intensity, 0.0), 0.0)


def solve_excitations(
    model: ExcitationModel, constants: ArrayLike | None = None, options: Options | None = None
) -> ModelExcitations:
    """Prepare a model with ``constants`` (p,), by default its own values."""
    default = [parameter.value for parameter in model.parameters.values()]
    values = np.asarray(default if constants is None else constants, dtype=float)
    if values.shape != (len(default),) or not np.isfinite(values).all():
        raise Exp2SimError(
            f"The model {model.name} takes {len(default)} finite numbers.",
            reason=f"Got {values.tolist()}.",
            fix=f"Give {', '.join(model.parameters)} in this order.",
        )
    if options is not None and (options.scan is not None or options.powder):
        raise Exp2SimError(
            f"The model {model.name} is no description of spins.",
            reason="Scans and powders are simulated of these alone.",
            fix="Leave scan and powder out.",
        )
    axes, lengths = oriented(model.lattice, model.view, model.name)
    return ModelExcitations(model, values, options or Options(), Twin(axes, lengths, 1.0))


def _binned(waves: ModelExcitations, binning: Binning, kind: Kind) -> Floats:
    fits = waves.fits(binning)
    margin = 4 * max(
        float(np.sqrt(max(f.yy, f.zz) + max(f.radial, 0) * waves.reach(binning) ** 2)) for f in fits
    )
    pairs = zip((binning.h_edges, binning.k_edges), waves.lattice, strict=True)
    ends = [
        (edges[0] * 2 * np.pi / length - margin, edges[-1] * 2 * np.pi / length + margin)
        for edges, length in pairs
    ]
    plane = make_plane(waves.twin, np.zeros((1, 3)), (ends[0], ends[1]), waves.options.grid)
    branches = _branches(waves, plane, binning, fits)
    widths, drift = resolution_widths(waves, plane, branches, binning) if kind == "convolved" else ((), None)
    weight, tilt = energy_histograms(branches, plane.size, binning.energy_edges, widths, drift)
    resolved = fits if kind == "convolved" else None
    blurs = plane_blurs(binning, resolved, plane.edges(waves.twin), waves.lattice)
    shape = (*plane.shape, -1)
    return to_bins(weight.reshape(shape), tilt.reshape(shape), blurs)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A model at one energy transfer: Q∥ (P,) in Å⁻¹, energies and intensities (P, n), and the changes of
    the energies from cell to cell (2, P, n).
    """

    energy: float
    along: Floats
    omega: Floats
    intensity: Floats
    change: Floats


def _layer(waves: ModelExcitations, plane: Plane, energy: float, ei: float) -> _Layer:
    q, reachable = cartesian_q(waves.twin, plane.q, np.full(plane.size, energy), ei)
    omega, intensity = waves.excitations(q)
    omega = np.where(reachable[:, None], omega, np.nan)
    change = np.stack(np.gradient(omega.reshape(*plane.shape, -1), axis=(0, 1))).reshape(2, *omega.shape)
    return _Layer(energy, q @ waves.twin.beam, omega, intensity, np.nan_to_num(change))


def _branches(
    waves: ModelExcitations, plane: Plane, binning: Binning, fits: tuple[RadialResolution, ...]
) -> Branches:
    """Where the modes cross the kinematics, layer by layer."""
    edges, ei = binning.energy_edges, binning.incident_energy
    variances = [fit.ee + waves.options.line_variance for fit in fits]
    margin = 4 * float(np.sqrt(max(variances)))
    low, high = max(edges[0] - margin, 1e-3), min(edges[-1] + margin, 0.995 * ei)
    step = float(np.sqrt(max(min(variances), 1e-12))) / LAYERS_PER_WIDTH
    number = int(np.clip(np.ceil((high - low) / step), 8, MOST_LAYERS)) + 1
    parts: list[Branches] = []
    before: _Layer | None = None
    for energy in np.linspace(low, high, number):
        layer = _layer(waves, plane, float(energy), ei)
        if before is not None:
            parts.append(_crossings(before, layer))
        before = layer
    fields = ("point", "energy", "weight", "spread", "slope")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in fields
    }
    return Branches(**joined)


def _crossings(before: _Layer, after: _Layer) -> Branches:
    """The modes whose energies are between those of two layers."""
    way = after.energy - before.energy
    below, above = before.omega - before.energy, after.omega - after.energy
    point, mode = np.nonzero((below > 0) != (above > 0))
    a, b = below[point, mode], above[point, mode]
    whole = np.isfinite(a) & np.isfinite(b)
    point, mode, a, b = point[whole], mode[whole], a[whole], b[whole]
    t = a / (a - b)
    jacobian = np.maximum(np.abs(b - a) / way, STEEPEST)
    slope = (after.omega - before.omega)[point, mode] / (after.along - before.along)[point]
    ends = (1 - t) * before.intensity[point, mode], t * after.intensity[point, mode]
    change = (1 - t) * before.change[:, point, mode] + t * after.change[:, point, mode]
    spread = (change**2).sum(axis=0) / 12 / jacobian**2
    return Branches(point, before.energy + t * way, (ends[0] + ends[1]) / jacobian, spread, slope)


def _centre(waves: ModelExcitations, binning: Binning) -> Floats:
    """The `centre` kind."""
    h, k, _ = binning.centres
    units = 2 * np.pi / np.array(waves.lattice)
    in_plane = np.stack(np.meshgrid(h, k, indexing="ij"), axis=-1).reshape(-1, 2) * units

    def lines(energy: float) -> Lines:
        q, reachable = cartesian_q(
            waves.twin, in_plane, np.full(len(in_plane), energy), binning.incident_energy
        )
        bins = np.flatnonzero(reachable)
        omega, weight = waves.excitations(q[bins])

        def intensity(row: Indices, mode: Indices) -> Floats:
            return np.asarray(weight[row, mode])

        return bins, np.where(np.isfinite(omega), omega, 1e9), intensity

    return lines_at_centres(binning, lines)
