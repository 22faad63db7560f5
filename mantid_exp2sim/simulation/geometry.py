"""How a described crystal stands in the beam, and which bins its instrument reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.cones import powder_mask
from mantid_exp2sim.simulation.coverage import coverage_mask
from mantid_exp2sim.simulation.manganite import LATTICE, ModelName
from mantid_exp2sim.simulation.material import Description
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.scan import scan_mask
from mantid_exp2sim.simulation.twins import twins_in_view


@dataclass(frozen=True, slots=True)
class Geometry:
    """The axes of view of a description, the direction normal to both, and the scan."""

    description: Description
    options: Options

    @property
    def axes(self) -> Floats:
        """Unit vectors (3, 3) along the axes of view and the third direction, in the crystal's frame."""
        twin = twins_in_view(self.description)[0]
        return np.asarray(twin.axes @ self.description.twins[0].matrix().T)

    @property
    def units(self) -> tuple[float, float, float]:
        """Lengths in Å⁻¹ of one r.l.u. of the axes of view and of the third direction."""
        reciprocal = 2 * np.pi * np.linalg.inv(self.description.lattice.vectors()).T
        lengths = np.linalg.norm(self.description.projection.matrix.T @ reciprocal, axis=1)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def turn(self) -> Floats:
        """Rotation (3, 3) from coordinates along `axes` to the frame of the scan."""
        scan = self.options.scan
        return np.eye(3) if scan is None else np.asarray(scan.frame(self.description.lattice) @ self.axes.T)

    def ends(self, binning: Binning) -> Floats:
        """Ends (3, 2) of a volume of a scan, in Å⁻¹ along `axes`."""
        if binning.third is None:
            raise Exp2SimError(
                "The range of the third direction of a scan is not given.",
                reason="A scan measures all of reciprocal space; the volume is integrated along "
                f"{self.description.projection.third_name}, normal to both axes.",
                fix="Give the range in r.l.u. (`--third FROM TO`).",
            )
        edges = (binning.h_edges[[0, -1]], binning.k_edges[[0, -1]], np.array(binning.third))
        return np.stack([unit * ends for unit, ends in zip(self.units, edges, strict=True)])

    def not_covered(self, binning: Binning) -> Booleans:
        """Find the bins of a volume that no detector reaches, True = not measured."""
        instrument, ei, scan = self.options.instrument, binning.incident_energy, self.options.scan
        if self.options.powder:
            return powder_mask(instrument, binning)
        if scan is not None:
            h, k = (unit * e for unit, e in zip(self.units, (binning.h_edges, binning.k_edges), strict=False))
            return scan_mask(
                instrument, scan, self.turn, (h, k, self.ends(binning)[2], binning.energy_edges), ei
            )
        lattice = 2 * np.pi / self.units[0], 2 * np.pi / self.units[1]
        edges = binning.h_edges, binning.k_edges, binning.energy_edges
        return coverage_mask(*edges, ei, lattice=lattice, instrument=instrument)


def not_covered(material: ModelName | Description, options: Options, binning: Binning) -> Booleans:
    """Find the bins of a volume that no detector reaches, True = not measured; of any model."""
    if isinstance(material, Description):
        return Geometry(material, options).not_covered(binning)
    edges = binning.h_edges, binning.k_edges, binning.energy_edges
    lattice = LATTICE[0], LATTICE[1]
    return coverage_mask(*edges, binning.incident_energy, lattice=lattice, instrument=options.instrument)
