"""Repetition-rate multiplication: the incident energies that pass the choppers in one pulse of the source."""

from __future__ import annotations

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2, SPEED_PER_K
from mantid_exp2sim.simulation.instrument import Instrument, load_instrument


def repetitions(
    instrument: str | Instrument,
    incident_energy: float,
    *,
    frequency: float | None = None,
    package: str | None = None,
) -> list[float]:
    """Compute the incident energies that the choppers let through together.

    All choppers are set to ``incident_energy``. Another energy passes where its neutrons, which leave the
    moderator at the same time, meet the middle of another opening of the last chopper before the next pulse
    of the source, and every other chopper open. Slits that open once per turn are run without repetitions.

    Parameters
    ----------
    instrument
        Name of a shipped instrument, path of a TOML file, or an `Instrument`.
    incident_energy
        The one that is wanted, in meV.
    frequency
        Frequency of the last chopper in Hz; by default that of the instrument's table.
    package
        Name of the slit package, or whole parts of it; by default the instrument's.

    Returns
    -------
    list of float
        In meV, from the highest; ``incident_energy`` is one of them.

    Raises
    ------
    Exp2SimError
        If a setting cannot be used, the chopper is shut, or the instrument's choppers are not known.

    Examples
    --------
    >>> [round(energy, 2) for energy in repetitions("LET", 22.78, frequency=240.0)]
    [22.78, 7.52, 3.7, 2.2, 1.45, 1.03, 0.77, 0.6]
    """
    if not isinstance(instrument, Instrument):
        instrument = load_instrument(instrument)
    instrument = instrument.with_setting(package=package, frequency=frequency)
    if not instrument.discs:
        raise Exp2SimError(
            f"The repetitions of {instrument.name} are not known.",
            reason="Its description has no discs, the choppers before the last one.",
            fix="Choose MERLIN or LET, or add discs to a file of the instrument.",
        )
    instrument.refuse_shut(incident_energy)
    instrument = instrument.with_frequency(instrument.frequency(incident_energy))
    others = _others(instrument, incident_energy) if instrument.openings_per_turn > 1 else []
    passing = [energy for energy in others if _passes(instrument, energy, incident_energy)]
    return sorted([incident_energy, *passing], reverse=True)


def _others(instrument: Instrument, incident_energy: float) -> list[float]:
    """Energies (meV) whose neutrons meet the middle of the other openings of the last chopper."""
    distance = _last_chopper(instrument)
    spacing = 1 / (instrument.openings_per_turn * instrument.frequency(incident_energy))
    main = distance / _speed(incident_energy)
    end = 1 / instrument.source_frequency
    numbers = np.arange(-np.floor(main / spacing), np.floor((end - main) / spacing) + 1)
    times = main + spacing * numbers[numbers != 0]
    return [float(ENERGY_PER_K2 * (distance / time / SPEED_PER_K) ** 2) for time in times if time > 0]


def _passes(instrument: Instrument, energy: float, main_energy: float) -> bool:
    """Whether the slits of the last chopper and every disc are open for neutrons of ``energy`` (meV)."""
    if not instrument.is_open(energy):
        return False
    last = instrument.frequency(main_energy)
    for disc in instrument.discs:
        turns = disc.frequency or last * (disc.ratio or instrument.pulse_frequency)
        time, main_time = (disc.distance / _speed(value) for value in (energy, main_energy))
        if not disc.lets_through(time, main_time, turns):
            return False
    return True


def _last_chopper(instrument: Instrument) -> float:
    """Distance from the moderator in m. Where a first pair of discs makes the pulse, it starts from there."""
    first = 0.0 if instrument.pulse_slit is None else instrument.discs[0].distance
    return first + instrument.moderator_to_chopper


def _speed(energy: float) -> float:
    return float(SPEED_PER_K * np.sqrt(energy / ENERGY_PER_K2))
