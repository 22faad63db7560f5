"""A description with its parameters: energies, amplitudes and intensities at any Q."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mantid_exp2sim.histogram import Booleans, Floats, Projection
from mantid_exp2sim.simulation.binning import Binning, Indices, Kind, fine_energies, radial_fits
from mantid_exp2sim.simulation.constants import GAMMA_R0_SQUARED
from mantid_exp2sim.simulation.crystal import Assembly
from mantid_exp2sim.simulation.form_factor import coefficients, form_factor_of_squared
from mantid_exp2sim.simulation.geometry import Geometry
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.resolution import RadialResolution
from mantid_exp2sim.simulation.scan import scan_fits
from mantid_exp2sim.simulation.spin_waves import Bonds, ComplexArray, Structure, UnstableStructureError, modes
from mantid_exp2sim.simulation.twins import Twin

FLAT = 1e-6
"""Å along the beam below which a bond does not lead along it."""


@dataclass(frozen=True, slots=True, eq=False)
class SolvedMaterial:
    """A description with its parameters, ready for every incident energy, binning and kind.

    Build with `spectrum.solve_material`. Bonds and places are those of
    `Assembly.with_short_steps`; ``bonds`` couple whole cells, so that the site phases are in ``places`` (Å)
    alone and everything that is solved has the period of the bonds.
    """

    assembly: Assembly
    parameters: Floats
    options: Options
    structure: Structure
    bonds: Bonds
    anisotropy: Floats
    places: Floats
    twins: tuple[Twin, ...]
    left_out: dict[tuple[Binning, Kind], int] = field(default_factory=dict, repr=False)
    cache: dict[object, Any] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> str:
        """Name of the description."""
        return self.assembly.description.name

    @property
    def count(self) -> int:
        """Number of modes at a q: that of the sites, three times as many for a spiral."""
        return len(self.places) * (1 if self.structure.frame is None else 3)

    @property
    def lattice(self) -> tuple[float, float]:
        """2π over the length of one r.l.u. of the two axes of view, in Å (a and b for the usual ones)."""
        return self.twins[0].lengths

    @property
    def projection(self) -> Projection:
        """The axes of view, of a powder |Q|."""
        if self.options.powder:
            return Projection(powder=True)
        return self.assembly.description.projection

    @property
    def geometry(self) -> Geometry:
        """How the crystal stands in the beam."""
        return Geometry(self.assembly.description, self.options)

    def not_covered(self, binning: Binning) -> Booleans:
        """Find the bins of a volume that no detector reaches, True = not measured."""
        return self.geometry.not_covered(binning)

    @property
    def cell(self) -> tuple[float, ...]:
        """a, b, c in Å, alpha, beta, gamma in degrees."""
        return self.assembly.description.lattice.cell

    def solve(self, q: Floats) -> tuple[Floats, ComplexArray]:
        """Solve at Cartesian ``q`` (P, 3) in Å⁻¹: energies (P, m), amplitudes (P, n, 3, m) without phases.

        Of the moments gS/2 of n sites, in m = `count` modes.

        Raises `UnstableStructureError` that says at which (h, k, l) energies are imaginary, and how large.
        """
        reduced = q @ self.assembly.cell.T / (2 * np.pi)
        n = len(self.places)
        chunk = max(16, 2_000_000 // (4 * n * self.count))
        try:
            parts = [
                modes(self.structure, self.bonds, reduced[i : i + chunk], anisotropy=self.anisotropy)
                for i in range(0, max(len(reduced), 1), chunk)
            ]
        except UnstableStructureError as error:
            raise self._unstable(error) from error
        amplitude = np.concatenate([part for _, part in parts])
        if not np.allclose(self.assembly.g, 2 * np.eye(3)):
            amplitude = np.einsum("nab,qnbm->qnam", 0.5 * self.assembly.g, amplitude)
        return np.concatenate([omega for omega, _ in parts]), amplitude

    def _unstable(self, error: UnstableStructureError) -> UnstableStructureError:
        description = self.assembly.description
        constants = dict(zip(description.names, self.parameters.tolist(), strict=True))
        to_lattice = np.linalg.inv(np.array(description.magnetic_cell, dtype=float)).T
        at = np.round(np.zeros(3) if error.place is None else error.place @ to_lattice, 4)
        return UnstableStructureError(
            f"The structure of {description.name} is not stable with these exchange constants.",
            reason=f"At (h, k, l) = {tuple(at.tolist())} energies are {error.energies}, with {constants}.",
            fix="Choose constants for which the described spin order is the ground state.",
        )

    def solve_plane(self, twin: Twin, in_plane: Floats) -> tuple[Floats, ComplexArray]:
        """Solve once at points (P, 2) in Å⁻¹ of the plane of a twin, at Q∥ = 0."""
        key = (twin, in_plane.tobytes())
        if key not in self.cache:
            self.cache[key] = self.solve(in_plane @ twin.axes[:2])
        energies, amplitude = self.cache[key]
        return energies, amplitude

    def intensity(self, q: Floats, amplitude: ComplexArray, row: Indices, mode: Indices) -> Floats:
        """Compute Σ_αβ (δ_αβ − q̂_α q̂_β) S^αβ |F|² (γr₀)² (N,) in mb/sr/f.u. at Cartesian ``q`` (N, 3).

        Of the branch ``mode`` of ``amplitude[row]``.
        """
        out = np.empty(len(q))
        n = len(self.places)
        described = self.assembly.description.form_factors
        ions = [coefficients(ion, described) for ion in self.assembly.ions]
        for part in (slice(i, i + 400_000 // n) for i in range(0, len(q), 400_000 // n)):
            at = q[part]
            squared = np.maximum((at**2).sum(axis=1), 1e-12)
            factors = np.stack([form_factor_of_squared(ion, squared) for ion in ions], axis=1)
            phased = factors[:, self.assembly.ion] * np.exp(-1j * (at @ self.places.T))
            total = np.einsum("ni,nia->na", phased, amplitude[row[part], :, :, mode[part]])
            along = (at * total).sum(axis=1)
            out[part] = (np.abs(total) ** 2).sum(axis=1) - np.abs(along) ** 2 / squared
        return np.asarray(out * self.unit_strength)

    @property
    def unit_strength(self) -> float:
        """Intensity in mb/sr/f.u. of strength 1 (ħ²) per magnetic cell."""
        return GAMMA_R0_SQUARED / self.assembly.formula_units

    def excited(self, energy: Floats, intensity: Floats) -> Booleans:
        """Tell which modes are `Excitations`, from their energies (meV) and intensities (mb/sr/f.u.)."""
        limits = self.options.excitations or self.assembly.description.excitations
        return limits.hold(energy, intensity / self.unit_strength)

    @property
    def translations(self) -> Floats:
        """Cells that the bonds lead to, (m, 3) in Å."""
        return np.asarray(self.bonds.cell @ self.assembly.cell)

    def is_flat(self, twin: Twin) -> bool:
        """Whether no bond leads along the beam of a twin: energies depend on h and k alone."""
        return bool((np.abs(self.translations @ twin.beam) < FLAT).all())

    def reach(self, binning: Binning) -> float:
        """Return the largest |Q| in Å⁻¹ along an axis of view."""
        edges = (binning.h_edges, binning.k_edges)
        return max(
            2 * np.pi / length * float(np.abs(e).max()) for e, length in zip(edges, self.lattice, strict=True)
        )

    def fits(self, binning: Binning) -> tuple[RadialResolution, ...]:
        """Fit the resolution at the `fine_energies` of a binning."""
        instrument, ei = self.options.instrument, binning.incident_energy
        if self.options.scan is not None:
            return self.scan_fits(binning)[0]
        return radial_fits(instrument, ei, fine_energies(binning), 1.07 * self.reach(binning))

    def scan_fits(self, binning: Binning) -> tuple[tuple[RadialResolution, ...], Floats]:
        """Fit the resolution of the scan, and its standard deviations (Å⁻¹) along the third direction."""
        key = ("scan", binning)
        if key not in self.cache:
            options, ei = self.options, binning.incident_energy
            assert options.scan is not None
            self.cache[key] = scan_fits(
                options.instrument,
                options.scan,
                self.geometry.turn,
                ei,
                fine_energies(binning),
                self.geometry.ends(binning),
            )
        fits: tuple[tuple[RadialResolution, ...], Floats] = self.cache[key]
        return fits
