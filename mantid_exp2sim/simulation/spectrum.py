"""What a spectrometer sees of the spin waves of any description, with and without its resolution.

T = 0, no Debye-Waller factor, no kf/ki. The beam is normal to the two axes of view (c ∥ ki for the usual
ones), or the crystal turns (`scan`), or there is a powder. Intensities in mb sr⁻¹ meV⁻¹ per formula unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.binning import (
    Binning,
    Branches,
    Indices,
    Kind,
    Lines,
    energy_histograms,
    lines_at_centres,
    plane_blurs,
    to_bins,
    validate_kind,
)
from mantid_exp2sim.simulation.branches import cartesian_q, find_branches, resolution_widths
from mantid_exp2sim.simulation.crystal import assemble, validate_values
from mantid_exp2sim.simulation.layers import scan_branches
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.powder import powder_volume
from mantid_exp2sim.simulation.solved import SolvedMaterial
from mantid_exp2sim.simulation.spin_waves import refuse_torque
from mantid_exp2sim.simulation.twins import Plane, Twin, make_plane, twins_in_view


@dataclass(frozen=True, slots=True, eq=False)
class MaterialSpinWaves(SolvedMaterial):
    """A solved description and its volumes. Build with `solve_material`."""

    def volume(self, binning: Binning, kind: Kind = "convolved") -> Floats:
        """Compute intensities (nh, nk, nE), as in `options.SpinWaves`."""
        validate_kind(kind)
        self.left_out[binning, kind] = 0
        if self.options.powder:
            return np.maximum(powder_volume(self, binning, kind), 0.0)
        total = np.zeros(binning.shape)
        shares = self.options.shares_of([twin.weight for twin in self.twins])
        for share, twin in zip(shares, self.twins, strict=True):
            volume = _centre(self, twin, binning) if kind == "centre" else _binned(self, twin, binning, kind)
            total += share * volume
        return np.maximum(total, 0.0)


def solve_material(
    description: Description, parameters: ArrayLike | None = None, options: Options | None = None
) -> MaterialSpinWaves:
    """Prepare a description with ``parameters`` (p,) in meV, by default those of the description.

    Raises `UnstableStructureError` where the spin structure is no equilibrium or not the ground state of
    these constants, `Exp2SimError` for a description or parameters that cannot be used.

    >>> from mantid_exp2sim.simulation.material import read_description, shipped
    >>> waves = solve_material(read_description(shipped()["rb2mnf4"]), [0.65, 0.0])
    >>> edges = np.linspace(-1, 1, 5)
    >>> waves.volume(Binning(edges, edges, np.linspace(2, 7, 3), 12.0), "integrated").shape
    (4, 4, 2)
    """
    options = options or Options()
    if options.physics != "physical":
        raise Exp2SimError(
            f"Only the built-in models have physics {options.physics!r}.",
            fix="Simulate a description with physics 'physical'.",
        )
    assembly = assemble(description)
    values = validate_values(description, description.values if parameters is None else parameters)
    structure, bonds, anisotropy = assembly.hamiltonian(values)
    refuse_torque(description.name, structure, bonds, anisotropy)
    structure, bonds, places = assembly.with_short_steps(structure, bonds)
    twins = twins_in_view(description)
    waves = MaterialSpinWaves(assembly, values, options, structure, bonds, anisotropy, places, twins)
    probe = np.random.default_rng(0).random((48, 3)) @ np.linalg.inv(assembly.cell).T * 2 * np.pi
    waves.solve(probe)  # most unstable draws show here, for a hundredth of the cost
    return waves


def _plane(waves: SolvedMaterial, twin: Twin, binning: Binning) -> Plane:
    """The grid cells under the binning and the margin of the blur around it."""
    fits, reach = waves.fits(binning), waves.reach(binning)
    margin = 4 * max(float(np.sqrt(max(f.yy, f.zz) + max(f.radial, 0.0) * reach**2)) for f in fits)
    ends = []
    for edges, length in zip((binning.h_edges, binning.k_edges), twin.lengths, strict=True):
        unit = 2 * np.pi / length
        ends.append((edges[0] * unit - margin, edges[-1] * unit + margin))
    return make_plane(twin, waves.translations, (ends[0], ends[1]), waves.options.grid)


def _binned(waves: SolvedMaterial, twin: Twin, binning: Binning, kind: Kind) -> Floats:
    plane = _plane(waves, twin, binning)
    scanned, resolved = waves.options.scan is not None, kind == "convolved"
    key = (twin, binning, resolved and scanned)
    if key not in waves.cache:
        waves.cache[key] = (
            scan_branches(waves, twin, plane, binning, resolved=resolved)
            if scanned
            else find_branches(waves, twin, plane, binning)
        )
    branches: Branches = waves.cache[key]
    waves.left_out[binning, kind] += branches.left_out
    fits = waves.fits(binning) if kind == "convolved" else None
    widths, drift = ((), None) if fits is None else resolution_widths(waves, plane, branches, binning)
    weight, tilt = energy_histograms(branches, plane.size, binning.energy_edges, widths, drift)
    blurs = plane_blurs(binning, fits, plane.edges(twin), twin.lengths)
    shape = (*plane.shape, -1)
    return to_bins(weight.reshape(shape), tilt.reshape(shape), blurs)


def _centre(waves: SolvedMaterial, twin: Twin, binning: Binning) -> Floats:
    """The `centre` kind of one twin."""
    h, k, _ = binning.centres
    nudge = 1e-7  # off the zero modes
    units = 2 * np.pi / np.array(twin.lengths)
    in_plane = np.stack(np.meshgrid(h + nudge, k + nudge, indexing="ij"), axis=-1).reshape(-1, 2) * units
    flat = waves.solve_plane(twin, in_plane) if waves.is_flat(twin) else None
    middle = None if waves.options.scan is None else float(waves.geometry.ends(binning)[2].mean())

    def lines(energy: float) -> Lines:
        if middle is None:
            q, reachable = cartesian_q(
                twin, in_plane, np.full(len(in_plane), energy), binning.incident_energy
            )
        else:
            q = np.column_stack([in_plane, np.full(len(in_plane), middle)]) @ twin.axes
            reachable = np.ones(len(q), dtype=bool)
        bins = np.flatnonzero(reachable)
        if flat is None:
            omega, amplitude = waves.solve(q[bins])
        else:
            omega, amplitude = flat[0][bins], flat[1][bins]

        def intensity(row: Indices, mode: Indices) -> Floats:
            weight = waves.intensity(q[bins][row], amplitude, row, mode)
            excited = waves.excited(omega[row, mode], weight)
            waves.left_out[binning, "centre"] += int((~excited).sum())
            return np.where(excited, weight, 0.0)

        return bins, omega, intensity

    return lines_at_centres(binning, lines)
