"""Direct-geometry chopper spectrometers as settings, and which bins their detectors reach.

Frame: x along the incident beam, y horizontal, z up; the sample is the origin. Lengths in m, times in s,
energies in meV, wave vectors in Å⁻¹, angles in degrees.

Sources: T. G. Perring, *High energy magnetic excitations in hexagonal cobalt* (thesis, Cambridge 1991) for
the variables of the resolution; the numbers of MAPS are those of the instrument as it stood from 2000 to
2017. Those of the other instruments are in ``instruments/*.toml``, each with its source.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.mosaic import H_EDGES, INCIDENT_ENERGIES, K_EDGES, WINDOW_EDGES
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2, SPEED_PER_K
from mantid_exp2sim.storage.toml import read_toml


class Bank(BaseModel):
    """A block of detector tubes on the cylinder around the sample.

    ``horizontal`` is the range of the scattering angle in the horizontal plane (degrees), ``height`` the
    range of z (m). In a ``horizontal`` tube the position is measured along y, in a ``vertical`` one along z.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizontal: tuple[float, float]
    height: tuple[float, float]
    tubes: Literal["vertical", "horizontal"] = "vertical"


class Instrument(BaseModel):
    """A direct-geometry chopper spectrometer with a Fermi chopper, or with a pair of counter-rotating discs.

    Every length in m unless its name says otherwise. ``frequencies`` are pairs (incident energy in meV,
    chopper frequency in Hz): the setting of a measurement, looked up by the nearest incident energy.

    >>> from mantid_exp2sim.simulation.instrument import MAPS
    >>> MAPS.frequency(70.0)
    250.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    moderator_to_sample: PositiveFloat
    chopper_to_sample: PositiveFloat
    aperture_to_chopper: PositiveFloat
    sample_to_detector: PositiveFloat
    moderator_tilt: float = 0.0
    moderator_tau: PositiveFloat | None = None
    """τ·√Ei of the pulse t² exp(−t/τ), in µs √meV."""
    moderator_pulses: tuple[tuple[PositiveFloat, PositiveFloat], ...] = ()
    """Instead of it: pairs (incident energy in meV, ascending; τ in µs), interpolated on logarithmic scales,
    continued as 1/√Ei outside."""
    aperture: tuple[PositiveFloat, PositiveFloat]
    package: str = ""
    """Name of the slit package."""
    packages: tuple[tuple[str, PositiveFloat, PositiveFloat], ...] = ()
    """All packages of a pair of discs: (name, ``chopper_slit``, ``pulse_frequency``)."""
    chopper_radius: PositiveFloat
    chopper_slit: PositiveFloat
    chopper_curvature: PositiveFloat = 1e6
    """Radius of the slits of a Fermi chopper; the default is straight."""
    chopper: Literal["fermi", "discs"] = "fermi"
    """For "discs", ``chopper_radius`` is that of the slots and ``chopper_slit`` their width."""
    beam_width: PositiveFloat = 0.02
    """Width of the guide at a pair of discs."""
    pulse_slit: PositiveFloat | None = None
    """Width of the slots, and of the beam, of a first pair of discs of the same radius: there the moderator's
    pulse is at most as wide as they are open. None: there is no such pair."""
    pulse_frequency: PositiveFloat = 0.5
    """Frequency of this first pair over that of the second."""
    frequencies: tuple[tuple[PositiveFloat, PositiveFloat], ...] = Field(min_length=1)
    incident_energies: tuple[PositiveFloat, PositiveFloat] | None = None
    """Least and largest incident energy in meV that the package of slits is made for; none: not known."""
    detector_depth: PositiveFloat
    detector_width: PositiveFloat
    detector_height: PositiveFloat
    sample: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.01, 0.05, 0.01)
    time_bin: float = Field(default=0.0, ge=0.0)
    """Width of a time-of-flight bin in µs."""
    width_scale: PositiveFloat = 1.0
    """Factor on all widths of the resolution: calculated ones are 10 to 20 % too narrow against vanadium."""
    banks: tuple[Bank, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_pulse(self) -> Self:
        if (self.moderator_tau is None) == (not self.moderator_pulses):
            raise ValueError("give one of moderator_tau and moderator_pulses")
        energies = [energy for energy, _ in self.moderator_pulses]
        if energies != sorted(set(energies)):
            raise ValueError("the energies of moderator_pulses are not ascending")
        return self

    def pulse(self, incident_energy: float) -> float:
        """Compute τ of the moderator's pulse t² exp(−t/τ) in s at ``incident_energy`` (meV).

        >>> round(MAPS.pulse(100.0) * 1e6, 6)
        7.0
        """
        if self.moderator_tau is not None:
            return float(self.moderator_tau / np.sqrt(incident_energy) * 1e-6)
        energies, taus = np.array(self.moderator_pulses).T
        inside = np.clip(incident_energy, energies[0], energies[-1])
        tau = np.exp(np.interp(np.log(inside), np.log(energies), np.log(taus)))
        return float(tau * np.sqrt(inside / incident_energy) * 1e-6)

    def pulse_half_base(self, incident_energy: float) -> float:
        """Compute half of the base of the triangle, in s, in which the first pair of discs is open."""
        if self.pulse_slit is None:
            return float("inf")
        frequency = self.pulse_frequency * self.frequency(incident_energy)
        return self.pulse_slit / (4 * np.pi * frequency * self.chopper_radius)

    def with_package(self, name: str) -> Self:
        """Return the instrument with another slit package, by its name or whole parts of it ("100-1.5").

        >>> load_instrument("LET").with_package("Intermediate").chopper_slit
        0.02
        """
        packages = self.packages or ((self.package, self.chopper_slit, self.pulse_frequency),)
        for package, slit, frequency in packages:
            if f"-{name}-".lower() in f"-{package}-".lower():
                changes = {"package": package, "chopper_slit": slit, "pulse_frequency": frequency}
                return self.model_copy(update=changes)
        raise Exp2SimError(
            f"{self.name} has no package {name!r}.",
            reason=f"It has: {', '.join(package for package, _, _ in packages) or 'one without a name'}.",
            fix="Leave the package out, or give a file of the instrument with other slits.",
        )

    @property
    def moderator_to_chopper(self) -> float:
        """Distance x0 in m."""
        return self.moderator_to_sample - self.chopper_to_sample

    def scaled(self, width_scale: float) -> Self:
        """Return the instrument with all widths of its resolution times ``width_scale``.

        >>> MAPS.scaled(1.1).scaled(2.0).width_scale
        2.2
        """
        if not 0 < width_scale < np.inf:
            raise Exp2SimError(
                f"The width scale is {width_scale:g}.",
                reason="It is the factor on all widths of the resolution.",
                fix="Give a positive number; 1 leaves the widths as they are.",
            )
        return self.model_copy(update={"width_scale": self.width_scale * width_scale})

    def refuse_shut(self, incident_energy: float) -> None:
        """Raise `Exp2SimError` where the chopper lets no neutrons of ``incident_energy`` (meV) through.

        A Fermi chopper is shut where γ = (2R/pk)·|1/s − 1/v| is 4 or more, or outside its package's range.
        """
        low, high = self.incident_energies or (0.0, np.inf)
        shut = self.chopper == "fermi" and self.slit_mismatch(incident_energy) >= 4
        if shut or not low <= incident_energy <= high:
            at = f"{self.frequency(incident_energy):g} Hz"
            reason = f"At {at} the slits turn away before the neutrons are through."
            if not shut:
                reason = f"Its slits are for {low:g} to {high:g} meV."
            raise Exp2SimError(
                f"The chopper of {self.name} is shut for neutrons of {incident_energy:g} meV.",
                reason=reason,
                fix="Choose another incident energy, or give a file of the instrument with other slits.",
            )

    def slit_mismatch(self, incident_energy: float) -> float:
        """Compute γ = (2R/pk)·|1/s − 1/v| of a Fermi chopper, with pk = w/(2RΩ) and s = 2Ωρ."""
        omega = 2 * np.pi * self.frequency(incident_energy)
        speed = SPEED_PER_K * np.sqrt(incident_energy / ENERGY_PER_K2)
        pulse = self.chopper_slit / (2 * self.chopper_radius * omega)
        slit_speed = 2 * omega * self.chopper_curvature
        return float(2 * self.chopper_radius / pulse * abs(1 / slit_speed - 1 / speed))

    def frequency(self, incident_energy: float) -> float:
        """Look up the chopper frequency in Hz at ``incident_energy`` (meV): of the nearest listed energy."""
        return min(self.frequencies, key=lambda pair: abs(np.log(pair[0] / incident_energy)))[1]


def _maps_banks() -> tuple[Bank, ...]:
    """The banks, with the signs of the horizontal angles turned.

    So h of the published mosaic, whose gaps tell on which side the wide angles are, is along +y of the frame
    like that of any other sample here.
    """
    low = [(3.0, 11.14), (11.67, 19.81), (-11.14, -3.0), (-19.81, -11.67)]
    high = [(-29.79, -21.12), (-39.76, -31.10), (-49.74, -41.08), (-59.72, -51.06)]
    half_tube = 0.1313
    banks = [
        Bank(horizontal=(-b - half_tube, -a + half_tube), height=(-0.52, 0.52), tubes="vertical")
        for a, b in low + high
    ]
    # (|z| from, to, y from, to) in m; tubes are 0.0254 m wide and each block stands above and below the beam
    blocks = [(0.643, 1.321, -0.51, 0.52), (1.374, 2.033, -0.51, 0.52), (0.314, 0.506, -0.20, 0.20)]
    blocks += [
        (z0, z1, *y) for z0, z1 in ((0.643, 1.267), (1.321, 1.929)) for y in ((0.64, 2.0), (-2.0, -0.64))
    ]
    for z0, z1, y0, y1 in blocks:
        angles = (-float(np.degrees(np.arcsin(y1 / 6.0))), -float(np.degrees(np.arcsin(y0 / 6.0))))
        for low_edge, high_edge in ((z0 - 0.0127, z1 + 0.0127), (-z1 - 0.0127, -z0 + 0.0127)):
            banks.append(Bank(horizontal=angles, height=(low_edge, high_edge), tubes="horizontal"))
    return tuple(banks)


MAPS = Instrument(
    name="MAPS",
    moderator_to_sample=12.0,
    chopper_to_sample=1.9,
    aperture_to_chopper=8.11,
    sample_to_detector=6.0,
    moderator_tilt=32.0,
    moderator_tau=70.0,
    aperture=(0.07013, 0.07013),
    package="S",
    chopper_radius=0.049,
    chopper_slit=0.002899,
    chopper_curvature=1.300,
    frequencies=((25.0, 300.0), (35.0, 200.0), (50.0, 200.0), (70.0, 250.0), (100.0, 300.0), (140.0, 400.0)),
    detector_depth=0.015,
    detector_width=0.0254,
    detector_height=0.01625,
    banks=_maps_banks(),
)
"""MAPS at ISIS (2000-2017) with the sloppy chopper package, at the frequencies of the manganite
measurement.
"""


def shipped_instruments() -> dict[str, Path]:
    """List the files of the instruments that come with the package besides `MAPS`, by name.

    >>> sorted(shipped_instruments())
    ['ARCS', 'LET', 'MARI', 'MERLIN', 'SEQUOIA']
    """
    folder = Path(str(files("mantid_exp2sim.simulation"))) / "instruments"
    return {path.stem.upper(): path for path in sorted(folder.glob("*.toml"))}


def load_instrument(name: str, beside: Path | None = None) -> Instrument:
    """Load an instrument by name (`MAPS` or a shipped one, in any case), or from a TOML file.

    A relative path is looked up here and in the folder ``beside``. Raises `Exp2SimError` where there is no
    such name or file, or where the file has wrong or unknown keys.

    >>> load_instrument("merlin").sample_to_detector
    2.5
    """
    if name.upper() == "MAPS":
        return MAPS
    shipped = shipped_instruments()
    places = (shipped.get(name.upper()), Path(name), (beside or Path()) / name)
    path = next((place for place in places if place is not None and place.is_file()), None)
    if path is None:
        raise Exp2SimError(
            f"There is no instrument {name!r}.",
            reason=f"It is no file, and the known ones are MAPS, {', '.join(shipped)}.",
            fix="Give one of these names or the path of a TOML file.",
        )
    fix = "What an instrument's file holds is told in docs/simulate.md."
    return read_toml(path, Instrument, what="instrument", fix=fix)


def kinematics(q_perpendicular: Floats, energy: Floats, incident_energy: float) -> tuple[Floats, Floats]:
    """Compute the wave vector along the beam and out, for c ∥ ki.

    ``q_perpendicular`` is |Q⊥| in Å⁻¹ and ``energy`` the energy transfer in meV (any broadcastable shapes).
    Returns (Q∥, kf) in Å⁻¹, from Q∥ = ki − √(kf² − Q⊥²) and kf² = (Ei − E)/2.0721; NaN where the bin cannot
    be reached.
    """
    ki = np.sqrt(incident_energy / ENERGY_PER_K2)
    with np.errstate(invalid="ignore"):
        kf = np.sqrt((incident_energy - np.asarray(energy)) / ENERGY_PER_K2)
        along = np.sqrt(kf**2 - np.asarray(q_perpendicular) ** 2)
    return ki - along, kf


def reached(
    instrument: Instrument, qy: Floats, qz: Floats, energy: Floats, incident_energy: float
) -> Booleans:
    """Whether a detector of ``instrument`` stands where (Qy, Qz, E) is scattered to.

    ``qy`` (horizontal) and ``qz`` (vertical) in Å⁻¹, ``energy`` in meV, broadcast together; boolean result
    of that shape. The sample's c axis is along the beam.
    """
    along, _ = kinematics(np.hypot(qy, qz), energy, incident_energy)
    kx = np.sqrt(incident_energy / ENERGY_PER_K2) - along
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.degrees(np.arctan2(-qy, kx))  # Q = ki - kf
        height = instrument.sample_to_detector * -qz / np.hypot(kx, qy)
        hit = np.zeros(np.shape(angle), dtype=bool)
        for bank in instrument.banks:
            hit |= (
                (angle >= bank.horizontal[0])
                & (angle <= bank.horizontal[1])
                & (height >= bank.height[0])
                & (height <= bank.height[1])
            )
    return hit


def coverage_mask(
    h_edges: Floats,
    k_edges: Floats,
    energy_edges: Floats,
    incident_energy: float,
    *,
    lattice: tuple[float, float] = (5.408, 5.4599),
    instrument: Instrument = MAPS,
    samples: int = 4,
    fraction: float = 0.0,
) -> Booleans:
    """Find the bins of an (h, k, E) volume that no detector reaches, for c ∥ ki, h horizontal, k vertical.

    Edges of shape (nh + 1,), (nk + 1,) in r.l.u. and (nE + 1,) in meV; ``lattice`` is (a, b) in Å. Each bin
    is probed at ``samples``³ points and counts as measured where more than ``fraction`` of them meet a
    detector. Returns boolean (nh, nk, nE), True = not measured.

    Raises `Exp2SimError` where an edge array has fewer than two values.
    """
    points = []
    for edges in (h_edges, k_edges, energy_edges):
        edges = np.asarray(edges, dtype=float)
        if edges.ndim != 1 or edges.size < 2:
            raise Exp2SimError(
                "A bin needs two edges.",
                reason=f"Got an edge array of shape {edges.shape}.",
                fix="Give the borders of the bins, one more than bins.",
            )
        offsets = (np.arange(samples) + 0.5) / samples
        points.append((edges[:-1, None] + np.diff(edges)[:, None] * offsets).reshape(-1))
    qy = 2 * np.pi / lattice[0] * points[0]
    qz = 2 * np.pi / lattice[1] * points[1]
    hit = reached(instrument, qy[:, None, None], qz[None, :, None], points[2][None, None, :], incident_energy)
    shape = tuple(n for p in points for n in (p.size // samples, samples))
    return np.asarray(hit.reshape(shape).mean(axis=(1, 3, 5)) <= fraction)


@lru_cache(maxsize=4)
def mosaic_coverage_mask(instrument: Instrument = MAPS) -> Booleans:
    """Find the bins of the published mosaic that no detector reaches, True = not measured.

    Boolean (6, 40, 40, 10): Ei, h ascending, k ascending, energy window, as in `mantid_exp2sim.mosaic`.

    >>> from mantid_exp2sim.simulation.instrument import mosaic_coverage_mask
    >>> mosaic_coverage_mask().shape
    (6, 40, 40, 10)
    """
    mask = np.stack(
        [
            coverage_mask(H_EDGES, K_EDGES, WINDOW_EDGES * energy, energy, instrument=instrument)
            for energy in INCIDENT_ENERGIES
        ]
    )
    mask.setflags(write=False)
    return mask
