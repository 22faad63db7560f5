"""Slit packages of an instrument's last chopper, and the disc choppers before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt


class Package(BaseModel):
    """A slit package of a Fermi chopper, or the slots of a pair of discs: what it sets of the instrument.

    The names are those of `Instrument`. What a package does not set stays as it is, so all packages of an
    instrument set the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    chopper_slit: PositiveFloat
    chopper_radius: PositiveFloat | None = None
    chopper_curvature: PositiveFloat | None = None
    pulse_frequency: PositiveFloat | None = None
    incident_energies: tuple[NonNegativeFloat, PositiveFloat] | None = None
    openings_per_turn: PositiveInt | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of the instrument that it sets, by name."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name != "name"}
        return {"package": self.name, **{name: value for name, value in values.items() if value is not None}}

    def has_parts(self, name: str) -> bool:
        """Whether ``name`` is whole parts of the package's name, in any case.

        >>> Package(name="ARCS-100-1.5-AST", chopper_slit=0.00152).has_parts("100-1.5")
        True
        """
        return f"-{name}-".lower() in f"-{self.name}-".lower()


class Disc(BaseModel):
    """A disc chopper, or a pair that turns against each other, which sorts the repetitions.

    ``distance`` from the moderator, ``slot`` and ``beam`` widths and ``radius`` in m. It turns ``frequency``
    times per second, or ``ratio`` times as fast as the last chopper (by default as the first pair of discs).
    It is open for the neutrons that the last chopper is set to, or where ``opens_at`` (µs) is given, from
    there on, once per turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance: PositiveFloat
    slots: PositiveInt = 1
    slot: PositiveFloat
    beam: PositiveFloat
    radius: PositiveFloat
    discs: PositiveInt = 1
    frequency: PositiveFloat | None = None
    ratio: PositiveFloat | None = None
    opens_at: NonNegativeFloat | None = None

    def lets_through(self, time: float, main_time: float, frequency: float) -> bool:
        """Whether it is open ``time`` (s) after the source's pulse, phased for ``main_time`` (s).

        ``frequency`` in Hz is that at which it turns. It counts as open from half of its opening on, and
        until half of its closing.
        """
        crossing = 2 * np.pi * self.radius * frequency * self.discs
        opening = max(self.slot, self.beam) / crossing
        period = 1 / (self.slots * frequency)
        middle = main_time
        if self.opens_at is not None:
            middle = self.opens_at * 1e-6 + (self.slot + self.beam) / crossing / 2
        distance = (time - middle + period / 2) % period - period / 2
        return bool(abs(distance) <= opening / 2)
