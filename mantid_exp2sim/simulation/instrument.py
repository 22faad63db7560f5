"""Direct-geometry chopper spectrometers as settings.

Frame: x along the incident beam, y horizontal, z up; the sample is the origin. Lengths in m, times in s,
energies in meV, wave vectors in Å⁻¹, angles in degrees.

Sources: T. G. Perring, *High energy magnetic excitations in hexagonal cobalt* (thesis, Cambridge 1991) for
the variables of the resolution; the numbers of MAPS are those of the instrument as it stood from 2000 to
2017. Those of the other instruments are in ``instruments/*.toml``, each with its source.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from mantid_exp2sim.errors import Exp2SimError, IncidentEnergyError, OptionError, did_you_mean
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.banks import Bank, maps_banks
from mantid_exp2sim.simulation.choppers import Disc, Package
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2, SPEED_PER_K
from mantid_exp2sim.storage.toml import read_toml


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
    packages: tuple[Package, ...] = ()
    """All packages, the usual one too."""
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
    openings_per_turn: PositiveInt = 1
    """How often the last chopper opens in one turn."""
    discs: tuple[Disc, ...] = ()
    """The discs that sort the repetitions; where there are none, repetitions are not known."""
    source_frequency: PositiveFloat = 50.0
    """Pulses per second of the source."""
    frequencies: tuple[tuple[PositiveFloat, PositiveFloat], ...] = Field(min_length=1)
    frequency_range: tuple[PositiveFloat, PositiveFloat] | None = None
    """Least and largest frequency of the last chopper in Hz; none: not known."""
    incident_energies: tuple[NonNegativeFloat, PositiveFloat] | None = None
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

    @model_validator(mode="before")
    @classmethod
    def _usual_package(cls, data: Any) -> Any:
        """Take what the usual package sets from there, unless it is given beside the packages."""
        if not isinstance(data, dict) or not data.get("packages"):
            return data
        packages = [Package.model_validate(package) for package in data["packages"]]
        if len({frozenset(package.changes) for package in packages}) > 1:
            raise ValueError("the packages do not all set the same")
        usual = next((package for package in packages if package.name == data.get("package")), None)
        if usual is None:
            raise ValueError(f"package is none of {[package.name for package in packages]}")
        return {**usual.changes, **data}

    @model_validator(mode="after")
    def _possible_frequencies(self) -> Self:
        low, high = self.frequency_range or (0.0, np.inf)
        if not all(low <= frequency <= high for _, frequency in self.frequencies):
            raise ValueError(f"frequencies are not between {low:g} and {high:g} Hz")
        return self

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

    def with_setting(
        self, *, package: str | None = None, frequency: float | None = None, width_scale: float = 1.0
    ) -> Self:
        """Return the instrument as it is set for a measurement.

        ``package`` as in `with_package`, ``frequency`` as in `with_frequency`, both as they are where None;
        ``width_scale`` as in `scaled`.
        """
        instrument = self if package is None else self.with_package(package)
        instrument = instrument if frequency is None else instrument.with_frequency(frequency)
        return instrument.scaled(width_scale)

    def with_package(self, name: str) -> Self:
        """Return the instrument with another slit package, by its name or whole parts of it ("100-1.5").

        Of several with these parts it is the usual one. Raises `Exp2SimError` where there is none, or where
        several are meant.

        >>> load_instrument("LET").with_package("Intermediate").chopper_slit
        0.02
        """
        packages = self.packages or (Package(name=self.package, chopper_slit=self.chopper_slit),)
        same = [package for package in packages if package.name.lower() == name.lower()]
        same = same or [package for package in packages if package.has_parts(name)]
        same = [package for package in same if package.name == self.package] or same
        if len(same) == 1:
            return self.model_copy(update=same[0].changes)
        summary = f"{self.name} has no package {name!r}."
        if same:
            summary = f"{self.name} has {len(same)} packages with {name!r} in their names."
        raise OptionError(
            summary,
            reason=f"It has: {', '.join(package.name for package in packages) or 'one without a name'}.",
            fix="Choose one of these or none, or give a file of the instrument with other slits.",
            option="package",
        )

    def with_frequency(self, frequency: float) -> Self:
        """Return the instrument with its chopper at ``frequency`` (Hz) for every incident energy.

        It may be 1 % out of ``frequency_range``: files hold what was read back.

        >>> MAPS.with_frequency(400.0).frequency(70.0)
        400.0
        """
        low, high = self.frequency_range or (0.0, np.inf)
        if not (0 < frequency < np.inf and 0.99 * low <= frequency <= 1.01 * high):
            turns = f"{low:g} to {high:g}" if self.frequency_range else "a positive number of"
            raise OptionError(
                f"The chopper frequency is {frequency:g} Hz.",
                reason=f"The chopper of {self.name} turns at {turns} Hz.",
                fix="Choose a frequency in this range, or leave it out for that of the instrument's table.",
                option="frequency",
            )
        return self.model_copy(update={"frequencies": ((1.0, float(frequency)),)})

    def settings(self) -> dict[str, Any]:
        """Return what differs from the defaults, ready for JSON.

        >>> Instrument.model_validate(MAPS.settings()) == MAPS
        True
        """
        return self.model_dump(mode="json", exclude_defaults=True)

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
            raise OptionError(
                f"The width scale is {width_scale:g}.",
                reason="It is the factor on all widths of the resolution.",
                fix="Give a positive number; 1 leaves the widths as they are.",
                option="width_scale",
            )
        return self.model_copy(update={"width_scale": self.width_scale * width_scale})

    def refuse_shut(self, incident_energy: float) -> None:
        """Raise `Exp2SimError` where the chopper lets no neutrons of ``incident_energy`` (meV) through.

        A Fermi chopper is shut where γ = (2R/pk)·|1/s − 1/v| is 4 or more, or outside its package's range.
        """
        if self.is_open(incident_energy):
            return
        low, high = self.incident_energies or (0.0, np.inf)
        reason = f"Its slits are for {low:g} to {high:g} meV."
        if low <= incident_energy <= high:
            at = f"{self.frequency(incident_energy):g} Hz"
            reason = f"At {at} the slits turn away before the neutrons are through."
        raise IncidentEnergyError(
            f"The chopper of {self.name} is shut for neutrons of {incident_energy:g} meV.",
            reason=reason,
            fix="Choose another incident energy, package or frequency, or give a file with other slits.",
            value=incident_energy,
        )

    def is_open(self, incident_energy: float) -> bool:
        """Whether the last chopper lets neutrons of ``incident_energy`` (meV) through."""
        low, high = self.incident_energies or (0.0, np.inf)
        turned = self.chopper == "fermi" and self.slit_mismatch(incident_energy) >= 4
        return low <= incident_energy <= high and not turned

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
    packages=(
        Package(name="S", chopper_slit=0.002899, chopper_curvature=1.3),
        Package(name="A", chopper_slit=0.001087, chopper_curvature=1.3),
        Package(name="B", chopper_slit=0.001812, chopper_curvature=0.92),
    ),
    chopper_radius=0.049,
    chopper_slit=0.002899,
    frequency_range=(50.0, 600.0),
    incident_energies=(1.0, 2000.0),
    frequencies=((25.0, 300.0), (35.0, 200.0), (50.0, 200.0), (70.0, 250.0), (100.0, 300.0), (140.0, 400.0)),
    detector_depth=0.015,
    detector_width=0.0254,
    detector_height=0.01625,
    banks=maps_banks(),
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
            fix=f"{did_you_mean(name.upper(), ['MAPS', *shipped])}Give one of these names or the path of a "
            "TOML file.",
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
