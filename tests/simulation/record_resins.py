"""Write resins.json: energy widths by ResINS of every instrument, package and a grid of settings.

    pip install resins
    python tests/simulation/record_resins.py

ResINS (https://github.com/pace-neutrons/resins) is a program of its own with PyChop's model. Its newest
version of each instrument is taken, with a polynomial of order 12 instead of 4, which fits its own widths to
1e-4. Where it refuses a setting, the FWHM is null. ``pulse`` has the FWHM of its moderator pulse in µs.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FWHM = float(np.sqrt(8 * np.log(2)))
SHARES = (0.0, 0.3, 0.6, 0.9)
ENERGIES = {
    "MAPS": (15.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
    "MARI": (8.0, 15.0, 30.0, 60.0, 100.0, 200.0, 500.0),
    "MERLIN": (8.0, 15.0, 30.0, 60.0, 100.0, 150.0, 300.0),
    "LET": (1.5, 2.5, 5.0, 8.04, 12.0, 20.0, 28.0),
    "ARCS": (20.0, 30.0, 60.0, 100.0, 200.0, 400.0, 800.0),
    "SEQUOIA": (10.0, 30.0, 60.0, 100.0, 200.0, 400.0, 800.0),
}
FREQUENCIES = {"ISIS": (100, 200, 400, 600), "SNS": (120, 240, 420, 600), "LET": (80, 160, 240, 300)}
SOURCES = {"LET": "LET", "ARCS": "SNS", "SEQUOIA": "SNS"}


def widths(instrument: Any, name: str, package: str, energy: float, frequency: int) -> list[float | None]:
    """FWHM in meV at ``SHARES`` of the incident energy, None each where ResINS refuses the setting."""
    settings: dict[str, Any] = {"chopper_frequency": frequency}
    if name == "LET":
        settings = {"resolution_frequency": frequency, "pulse_remover_frequency": frequency // 2}
    try:
        function = instrument.get_resolution_function(
            "PyChop_fit", chopper_package=package, e_init=energy, fitting_order=12, **settings
        )
    except Exception as refusal:
        print(name, package, energy, frequency, type(refusal).__name__)
        return [None] * len(SHARES)
    points = np.array(SHARES)[:, None] * energy
    return [round(float(value) * FWHM, 5) for value in function.get_characteristics(points)["sigma"]]


def pulse(instrument: Any, energy: float) -> float:
    """FWHM in µs of the pulse of the moderator; the library has no public name for it."""
    data = instrument.get_model_data("PyChop_fit")
    model = type(instrument.get_resolution_function("PyChop_fit"))
    return round(1e6 * float(np.sqrt(model._get_moderator_width_squared(data.moderator, energy))), 3)


def main() -> None:
    """Write the file."""
    from resins.instrument import Instrument

    rows, pulses = [], {}
    for name, energies in ENERGIES.items():
        instrument = Instrument.from_default(name)
        pulses[name] = {str(energy): pulse(instrument, energy) for energy in energies}
        packages = instrument.possible_options_for_model_and_configuration("PyChop_fit", "chopper_package")
        for package in packages:
            for frequency in FREQUENCIES[SOURCES.get(name, "ISIS")]:
                rows += [
                    [name, package, energy, frequency, widths(instrument, name, package, energy, frequency)]
                    for energy in energies
                ]
    text = ",\n".join(json.dumps(row) for row in rows)
    head = f'"resins": "{version("resins")}",\n"shares": {json.dumps(SHARES)},\n"pulse": {json.dumps(pulses)}'
    path = Path(__file__).with_name("resins.json")
    path.write_text(f'{{\n{head},\n"widths": [\n{text}\n]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
