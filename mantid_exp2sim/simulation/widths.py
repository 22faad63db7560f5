"""The resolution of a spectrometer as numbers: widths in energy and along Q, and their covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.instrument import Instrument, load_instrument
from mantid_exp2sim.simulation.resolution import FWHM, direction_map, variable_variances


@dataclass(frozen=True, slots=True)
class Resolution:
    """The resolution at one incident energy, for each of n energy transfers.

    ``covariance`` (n, 4, 4) is that of (Q along ki, Q horizontal, Q vertical, E) in Å⁻¹, Å⁻¹, Å⁻¹ and meV.
    ``fwhm_energy`` (n,) in meV and ``fwhm_q`` (n, 3) in Å⁻¹ are the full widths at half maximum of one
    quantity whatever the others are.
    """

    instrument: str
    incident_energy: float
    frequency: float
    package: str
    energy: Floats
    covariance: Floats

    @property
    def fwhm_energy(self) -> Floats:
        """Full width at half maximum in energy (n,), in meV."""
        return np.asarray(FWHM * np.sqrt(self.covariance[:, 3, 3]))

    @property
    def fwhm_q(self) -> Floats:
        """Full widths at half maximum (n, 3) along ki, horizontal and vertical, in Å⁻¹."""
        return np.asarray(FWHM * np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)[:, :3]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        setting = {name: getattr(self, name) for name in ("instrument", "incident_energy", "frequency")}
        arrays = ("energy", "fwhm_energy", "fwhm_q", "covariance")
        return {**setting, "package": self.package, **{name: getattr(self, name).tolist() for name in arrays}}


def resolution(
    instrument: str | Instrument,
    incident_energy: float,
    *,
    energy: ArrayLike | None = None,
    hkl: Sequence[float] | None = None,
    lattice: Sequence[float] | None = None,
    frequency: float | None = None,
    package: str | None = None,
    width_scale: float = 1.0,
) -> Resolution:
    """Compute the resolution of a spectrometer in energy and Q.

    Parameters
    ----------
    instrument
        Name of a shipped instrument, path of a TOML file, or an `Instrument`.
    incident_energy
        In meV.
    energy
        Energy transfers in meV, below the incident energy; by default 0 to 0.9 of it.
    hkl
        Where in reciprocal space, in r.l.u. of ``lattice``: the crystal is turned so that Q lies in the
        horizontal plane. By default neutrons that go straight on.
    lattice
        a, b, c in Å, and α, β, γ in degrees (default 90).
    frequency
        Chopper frequency in Hz; by default that of the instrument's table.
    package
        Name of the slit package, or whole parts of it ("100-1.5"); by default the instrument's.
    width_scale
        Factor on all widths.

    Raises
    ------
    Exp2SimError
        If a setting cannot be used, the chopper is shut, or a point cannot be reached.

    Examples
    --------
    >>> resolution("MAPS", 70.0, energy=[0.0, 35.0]).fwhm_energy.round(2).tolist()
    [3.6, 2.51]
    """
    if not isinstance(instrument, Instrument):
        instrument = load_instrument(instrument)
    instrument = instrument.with_setting(package=package, frequency=frequency, width_scale=width_scale)
    if not 0 < incident_energy < np.inf:
        raise Exp2SimError(
            f"The incident energy is {incident_energy:g}.", fix="Give a positive number of meV."
        )
    incident_energy = float(incident_energy)
    transfers = _transfers(energy, incident_energy)
    kf = np.sqrt((incident_energy - transfers) / ENERGY_PER_K2)
    outgoing = _outgoing(transfers, kf, incident_energy, _length(hkl, lattice))
    matrix = direction_map(instrument, outgoing, kf, incident_energy)
    covariance = (matrix * variable_variances(instrument, incident_energy)) @ np.swapaxes(matrix, -1, -2)
    used = instrument.frequency(incident_energy)
    return Resolution(instrument.name, incident_energy, used, instrument.package, transfers, covariance)


def _transfers(energy: ArrayLike | None, incident_energy: float) -> Floats:
    """The energy transfers (n,) in meV, or an error for those that no neutron can lose."""
    if energy is None:
        return np.linspace(0.0, 0.9, 10) * incident_energy
    transfers = np.atleast_1d(np.asarray(energy, dtype=float)).ravel()
    if not transfers.size or not np.isfinite(transfers).all() or transfers.max() >= incident_energy:
        raise Exp2SimError(
            "The energy transfers cannot be used.",
            reason=f"They are {transfers.tolist()} meV, the incident energy is {incident_energy:g} meV.",
            fix="Give numbers below the incident energy; those below 0 are energy gain.",
        )
    return transfers


def _length(hkl: Sequence[float] | None, lattice: Sequence[float] | None) -> float | None:
    """Compute |Q| in Å⁻¹ of a point of a lattice."""
    if hkl is None:
        return None
    if lattice is None:
        raise Exp2SimError(
            "The lattice of hkl is missing.",
            reason="The resolution depends on Q in Å⁻¹.",
            fix="Give a, b, c in Å (and α, β, γ in degrees where they are not 90) as lattice.",
        )
    cell = np.array([*lattice, 90.0, 90.0, 90.0][:6] if len(lattice) == 3 else lattice, dtype=float)
    cosines = np.cos(np.radians(cell[3:]))
    metric = np.eye(3)
    if cell.size == 6:
        metric[[1, 0, 0], [2, 2, 1]] = metric[[2, 2, 1], [1, 0, 0]] = cosines
        metric *= np.outer(cell[:3], cell[:3])
    if (
        cell.size != 6
        or not (np.isfinite(cell) & (cell > 0)).all()
        or not np.linalg.det(metric) > 0
        or not _is_point(hkl)
    ):
        raise Exp2SimError(
            "hkl or its lattice cannot be used.",
            reason=f"They are {list(hkl)} and {list(lattice)}.",
            fix="Give three numbers for hkl; three lengths in Å, or these and three angles, for the lattice.",
        )
    point = np.asarray(hkl, dtype=float)
    return float(2 * np.pi * np.sqrt(point @ np.linalg.solve(metric, point)))


def _is_point(hkl: Sequence[float]) -> bool:
    return len(hkl) == 3 and bool(np.isfinite(hkl).all())


def _outgoing(energy: Floats, kf: Floats, incident_energy: float, length: float | None) -> Floats:
    """Compute the unit vectors (n, 3) along kf for |Q| = ``length`` in the horizontal plane.

    None is straight on. Raises `Exp2SimError` for what no scattering angle reaches.
    """
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    straight = np.ones_like(kf)
    cosine = straight if length is None else (ki**2 + kf**2 - length**2) / (2 * ki * kf)
    beyond = np.abs(cosine) > 1 + 1e-9
    if beyond.any():
        raise Exp2SimError(
            f"hkl cannot be measured at {energy[beyond][0]:g} meV with neutrons of {incident_energy:g} meV.",
            reason=f"|Q| is {length:.4g} Å⁻¹, which no scattering angle reaches.",
            fix="Choose another energy transfer or point, or a higher incident energy.",
        )
    cosine = np.clip(cosine, -1.0, 1.0)
    return np.stack([cosine, -np.sqrt(1 - cosine**2), np.zeros_like(kf)], axis=-1)
