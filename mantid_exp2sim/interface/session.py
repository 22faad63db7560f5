"""What the window works on, without Qt: data, what is asked of them, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.io import load, save
from mantid_exp2sim.model.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from mantid_exp2sim.application.deconvolve import Method
    from mantid_exp2sim.application.known_resolution import Background
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.classify import Classification
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.model.card import Direction

Part = Literal["before", "after", "removed", "residual"]
PARTS: tuple[Part, ...] = ("before", "after", "removed", "residual")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Data with the name they have in the window, and the file or workspace they are from."""

    name: str
    histogram: Histogram
    path: Path | None = None
    workspace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user asks of the data.

    ``incident_energy`` in meV, ``frequency`` of the chopper in Hz, ``lattice`` a, b, c in Å and the angles in
    degrees; None takes what the data tell. ``spin_models`` are fitted, and ``thorough`` takes the default
    number of starts and draws instead of few.
    """

    direction: Direction = "deconvolve"
    method: Method = "auto"
    model: str = DEFAULT_MODEL
    instrument: str | None = None
    incident_energy: float | None = None
    frequency: float | None = None
    lattice: tuple[float, ...] | None = None
    background: Background = "none"
    uncertainty: bool = True
    force: bool = False
    spin_models: tuple[str, ...] = ("Dimer", "Goodenough")
    thorough: bool = False

    def options(self) -> dict[str, Any]:
        """Return the keywords of `separate` and `convolve` that are not their defaults.

        >>> Choice(instrument="MAPS", force=True).options()
        {'instrument': 'MAPS', 'force': True}
        """
        names = ["instrument", "incident_energy", "frequency", "lattice", "uncertainty", "force"]
        if self.direction == "deconvolve":
            names.append("background")
        return self._changed(*names)

    def domain_options(self) -> dict[str, Any]:
        """Return the keywords of `Model.check_domain` and `Model.classify` that are not their defaults."""
        return self._changed("incident_energy")

    def setting(self) -> dict[str, Any]:
        """Return the keywords of `Measurement` that are not their defaults."""
        return self._changed("instrument", "frequency")

    def search(self) -> dict[str, Any]:
        """Return the keywords of `FitOptions`: none for a thorough fit.

        >>> Choice().search()
        {'starts': 24, 'samples': 0}
        """
        return {} if self.thorough else {"starts": 24, "samples": 0}

    def _changed(self, *names: str) -> dict[str, Any]:
        defaults = {item.name: item.default for item in fields(self)}
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value != defaults[name]}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was computed of one entry, each None until it is; with the choice that each was made with."""

    translation: Translation | None = None
    domain: DomainReport | None = None
    classification: Classification | None = None
    fit: Fit | None = None
    choices: dict[str, Choice] = field(default_factory=dict)

    def part(self, name: Part, before: Histogram) -> Histogram | None:
        """Return a part of the measurement, or None where it was not computed."""
        if name == "before":
            return before
        if self.translation is None:
            return None
        return self.translation.histogram if name == "after" else getattr(self.translation, name)


@dataclass(slots=True, eq=False)
class Session:
    """Hold the entries of a window by their names, their outcomes, and which one is looked at."""

    entries: dict[str, Entry] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    current: str | None = None

    def add(self, entry: Entry) -> Entry:
        """Add data and look at them; a name that is there already gets a number."""
        name, number = entry.name, 2
        while name in self.entries:
            name, number = f"{entry.name} ({number})", number + 1
        entry = replace(entry, name=name)
        self.entries[name] = entry
        self.current = name
        return entry

    def remove(self, name: str) -> None:
        """Forget data and what was computed of them."""
        self.entries.pop(name)
        self.outcomes.pop(name, None)
        if self.current == name:
            self.current = next(iter(self.entries), None)

    @property
    def entry(self) -> Entry:
        """The data that are looked at; `Exp2SimError` where there are none."""
        if self.current is None:
            raise Exp2SimError("There are no data.", fix="Open a file first.")
        return self.entries[self.current]

    def outcome(self, name: str) -> Outcome:
        """Return what was computed of an entry, empty at first."""
        return self.outcomes.get(name, Outcome())

    def record(self, name: str, kind: str, value: Any, choice: Choice) -> None:
        """Keep a result: ``kind`` is a field of `Outcome`. Data that are gone by now are passed over."""
        if name in self.entries:
            before = self.outcome(name)
            choices = {**before.choices, kind: choice}
            changes: dict[str, Any] = {kind: value, "choices": choices}
            self.outcomes[name] = replace(before, **changes)

    def part(self, name: Part) -> Histogram | None:
        """Return a part of the data that are looked at, or None where it was not computed."""
        return self.outcome(self.entry.name).part(name, self.entry.histogram)

    def save(self, name: Part, path: Path, *, overwrite: bool = False) -> None:
        """Write a part of the data that are looked at.

        Raises
        ------
        Exp2SimError
            If it was not computed, if the file is there and ``overwrite`` is False, or if it is an input.
        """
        histogram = self.part(name)
        if histogram is None:
            raise Exp2SimError(f"There is no part {name!r} yet.", fix="Deconvolve the data first.")
        self.refuse_input(path)
        save(histogram, path.expanduser().resolve(), overwrite=overwrite)

    def refuse_input(self, path: Path) -> None:
        """Raise `Exp2SimError` where a file is one of those that the data are from."""
        inputs = {entry.path.expanduser().resolve() for entry in self.entries.values() if entry.path}
        if path.expanduser().resolve() in inputs:
            raise Exp2SimError(f"{path} is one of the inputs.", fix="Give the result another name.")


def read_entry(path: str | Path) -> Entry:
    """Load a file; its name is the entry's."""
    file = Path(path).expanduser()
    return Entry(file.name, load(file), path=file)


def read_numbers(text: str) -> tuple[float, ...] | None:
    """Read numbers with blanks or commas between them; None for no text.

    >>> read_numbers("5.4, 5.4 19.2"), read_numbers(" ")
    ((5.4, 5.4, 19.2), None)
    """
    words: Sequence[str] = text.replace(",", " ").split()
    try:
        return tuple(float(word) for word in words) or None
    except ValueError:
        raise Exp2SimError(
            f"{text!r} is not all numbers.", fix="Give numbers with blanks between them."
        ) from None
