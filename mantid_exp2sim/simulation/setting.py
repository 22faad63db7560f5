"""How data were measured: what a user says of it, and what the data themselves tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mantid_exp2sim.errors import IncidentEnergyError, OptionError
from mantid_exp2sim.histogram import CELL, Histogram
from mantid_exp2sim.histogram.direction import Vector
from mantid_exp2sim.mosaic import is_mosaic
from mantid_exp2sim.simulation.instrument import Instrument, load_instrument, shipped_instruments
from mantid_exp2sim.simulation.manganite import LATTICE
from mantid_exp2sim.simulation.material import Lattice, read_description, shipped
from mantid_exp2sim.simulation.placement import Placement, place

Source = Literal["given", "from the file", "of the published mosaic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is said of a measurement; what is not said is taken from the data.

    Parameters
    ----------
    instrument
        Name of a shipped one, path of a TOML file, or an `Instrument`.
    incident_energy
        meV.
    frequency
        Of the chopper in Hz; by default that of the file, else of the instrument's table.
    package
        Slit package; by default the instrument's.
    lattice
        a, b, c in Å, and α, β, γ in degrees (default 90).
    beam, vertical
        (h, k, l) along the beam of a crystal that stood still, or about which it was turned:
        `placement.place` tells the defaults.
    width_scale
        Factor on all widths of the resolution.
    """

    instrument: str | Path | Instrument | None = None
    incident_energy: float | None = None
    frequency: float | None = None
    package: str | None = None
    lattice: Sequence[float] | None = None
    beam: Vector | None = None
    vertical: Vector | None = None
    width_scale: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A setting that is complete for one histogram. ``sources`` say where each part is from."""

    instrument: Instrument
    incident_energy: float
    lattice: Lattice | None
    sources: Mapping[str, Source]
    setting: Setting

    def place(self, histogram: Histogram) -> Placement:
        """Say where the bins of the histogram were measured."""
        beam, vertical = self.setting.beam, self.setting.vertical
        return place(
            histogram, self.instrument, self.incident_energy,
            lattice=self.lattice, beam=beam, vertical=vertical,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, for the history."""
        lattice = None if self.lattice is None else list(self.lattice.model_dump().values())
        return {
            "instrument": self.instrument.name,
            "incident_energy": self.incident_energy,
            "frequency": self.instrument.frequency(self.incident_energy),
            "package": self.instrument.package,
            "lattice": lattice,
            "beam": self.setting.beam,
            "vertical": self.setting.vertical,
            "width_scale": self.instrument.width_scale,
            "sources": dict(self.sources),
        }


def complete(setting: Setting, histogram: Histogram, whole: Histogram | None = None) -> Measured:
    """Fill a setting with what a histogram tells, a part of ``whole`` (a volume of a mosaic).

    Raises
    ------
    Exp2SimError
        If the instrument or the incident energy is neither given nor told, or cannot be used.

    Examples
    --------
    >>> from mantid_exp2sim.mosaic import mosaic_histogram, split
    >>> mosaic = mosaic_histogram(np.ones((240, 400)))
    >>> measured = complete(Setting(), split(mosaic)[3], mosaic)
    >>> measured.instrument.name, measured.incident_energy, measured.lattice.a
    ('MAPS', 70.0, 5.408)
    """
    whole = histogram if whole is None else whole
    sources: dict[str, Source] = {}
    instrument = _instrument(setting, whole, sources)
    energy = _incident_energy(setting, histogram, whole, sources)
    return Measured(instrument, energy, _lattice(setting, whole, sources), sources, setting)


def _frequency(setting: Setting, whole: Histogram, sources: dict[str, Source]) -> float | None:
    """The frequency of the chopper in Hz; None is that of the instrument's table."""
    if setting.frequency is not None:
        sources["frequency"] = "given"
        return setting.frequency
    told = _told(whole, sources).get("frequency", whole.metadata.get("chopper_frequency"))
    if not isinstance(told, int | float) or not 0 < told < np.inf:
        return None
    sources["frequency"] = "from the file"
    return float(told)


def _told(whole: Histogram, sources: Mapping[str, Source]) -> Mapping[str, Any]:
    """What a simulation says of the instrument that it names."""
    steps = _steps(whole) if sources["instrument"] == "from the file" else []
    return steps[0] if steps else {}


def _instrument(setting: Setting, whole: Histogram, sources: dict[str, Source]) -> Instrument:
    instrument = setting.instrument
    sources["instrument"] = "given"
    if instrument is None:
        instrument = _told_instrument(whole)
        sources["instrument"] = "from the file"
    if instrument is None and is_mosaic(whole):
        instrument = "MAPS"
        sources["instrument"] = "of the published mosaic"
    if instrument is None:
        raise OptionError(
            "The instrument of the data is not known.",
            reason="The resolution is the instrument's, and the file names none that is known here.",
            fix=f"Give --instrument: MAPS, {', '.join(shipped_instruments())}, or a TOML file.",
            option="instrument",
        )
    if not isinstance(instrument, Instrument):
        instrument = load_instrument(str(instrument))
    told = _told(whole, sources)
    return instrument.with_setting(
        package=told.get("package") if setting.package is None else setting.package,
        frequency=_frequency(setting, whole, sources),
        width_scale=setting.width_scale * told.get("width_scale", 1.0),
    )


def _told_instrument(histogram: Histogram) -> str | None:
    """The known instrument that the steps of a simulation or the file's own record name."""
    names = [step.get("instrument") for step in _steps(histogram)]
    if histogram.metadata.get("instrument"):
        names.append(histogram.metadata["instrument"])
    if histogram.nexus is not None:
        record = histogram.nexus.value("experiment0/instrument/name")
        names.append(None if record is None else record.text())
    known = {"MAPS", *shipped_instruments()}
    return next((str(name).upper() for name in names if name and str(name).upper() in known), None)


def _steps(histogram: Histogram) -> list[Mapping[str, Any]]:
    history = histogram.metadata.get("history")
    steps = history if isinstance(history, list | tuple) else []
    return [step for step in steps if isinstance(step, Mapping) and step.get("command") == "simulate"]


def _incident_energy(
    setting: Setting, histogram: Histogram, whole: Histogram, sources: dict[str, Source]
) -> float:
    energy, sources["incident_energy"] = setting.incident_energy, "given"
    if is_mosaic(whole):
        if energy is not None:
            raise IncidentEnergyError(
                "The incident energy of a mosaic cannot be set.",
                reason="Its six volumes have their own.",
                fix="Leave it out.",
                value=energy,
            )
        sources["incident_energy"] = "of the published mosaic"
    if energy is None:
        energy = histogram.metadata.get("incident_energy")
        if not is_mosaic(whole):
            sources["incident_energy"] = "from the file"
    if not isinstance(energy, int | float) or not 0 < energy < np.inf:
        raise IncidentEnergyError(
            "The incident energy is not known." if energy is None else f"The incident energy is {energy}.",
            reason="The resolution depends on it, and the file does not tell it.",
            fix="Give --incident-energy in meV.",
            value=None,
        )
    return float(energy)


def _lattice(setting: Setting, whole: Histogram, sources: dict[str, Source]) -> Lattice | None:
    constants: Sequence[float] | None = None
    if setting.lattice is not None:
        constants, sources["lattice"] = tuple(setting.lattice), "given"
    elif isinstance(whole.metadata.get("lattice"), Mapping):
        cell = whole.metadata["lattice"]
        constants = [cell[name] for name in CELL if name in cell]
        sources["lattice"] = "from the file"
    elif (lattice := _of_simulation(whole)) is not None:
        sources["lattice"] = "from the file"
        return lattice
    elif is_mosaic(whole):
        constants, sources["lattice"] = LATTICE, "of the published mosaic"
    if constants is None:
        return None
    numbers = [float(value) for value in constants]
    if len(numbers) not in (3, 6) or not all(0 < value < np.inf for value in numbers):
        raise OptionError(
            f"The lattice is {numbers}.",
            fix="Give a, b and c in Å, or these and α, β and γ in degrees.",
            option="lattice",
        )
    lattice = Lattice(**dict(zip(CELL, numbers, strict=False)))
    lattice.vectors()  # refuse angles of no cell
    return lattice


def _of_simulation(histogram: Histogram) -> Lattice | None:
    """The lattice of the model that a simulation names, where it is a shipped one."""
    names = [str(step.get("model", "")) for step in _steps(histogram)]
    for name in names:
        if name.lower() in ("goodenough", "dimer"):
            return Lattice(a=LATTICE[0], b=LATTICE[1], c=LATTICE[2])
        for path in shipped().values():
            description = read_description(path)
            if description.name == name:
                return description.lattice
    return None
