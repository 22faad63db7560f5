"""Rb2MnF4 measured on MERLIN and on LET, fitted alone and together.

    python examples/fit_two_instruments.py [FOLDER]

The data are of our own simulator, written by `exp2sim simulate` with noise and read back as a user would read
files of SaveMD; so this shows that constants come back, and what two instruments give together, not that the
simulator is right, nor that its grid is fine enough. About a minute of one core; the same numbers every time.

Reduced χ² is below 1: bins without intensity are simulated with the error 0, which means not known, and count
with the typical error of their energy.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mantid_exp2sim import FitOptions, Measurement, fit, load
from mantid_exp2sim.cli import main as exp2sim

TRUTH = {"J1": 0.62, "J2": 0.03}
"""Put in, in meV; the description has 0.65 and 0."""
SETTINGS = {"MERLIN": (16.0, (1.6, 8.8), 1), "LET": (10.0, (1.0, 7.0), 2)}
"""Incident energy, range of energy transfer (meV) and seed of the noise."""


def write_files(folder: Path) -> dict[str, Path]:
    """Simulate a noisy volume on each instrument, and return the files."""
    constants = [text for name, value in TRUTH.items() for text in ("--set", f"{name}={value}")]
    paths = {}
    for name, (energy, window, seed) in SETTINGS.items():
        paths[name] = folder / f"{name.lower()}.nxs"
        command = (
            f"simulate spectrum {paths[name]} --description rb2mnf4 --instrument {name} --noise 0.5 "
            f"--seed {seed} --incident-energy {energy:g} --bins 20 20 8 --h -1 1 --k -1 1 "
            f"--energy {window[0]:g} {window[1]:g}"
        )
        if exp2sim([*command.split(), *constants]) != 0:
            raise SystemExit(f"{name} could not be simulated")
    return paths


def fit_each_and_all(paths: dict[str, Path]) -> None:
    """Print constants with errors from each instrument, and from both."""
    options = FitOptions(starts=4, samples=30)
    data = {name: Measurement(load(path), name) for name, path in paths.items()}
    for names in ([name] for name in data):
        report(names, data, options)
    report(list(data), data, options)


def report(names: list[str], data: dict[str, Measurement], options: FitOptions) -> None:
    """Fit the data of some instruments together and print a line for each constant."""
    result = fit([data[name] for name in names], "rb2mnf4", options=options)
    model = result.leading
    print(f"{' and '.join(names)}: reduced χ² {model.chi2_reduced:.2f}, {result.seconds:.0f} s")
    for name, truth in TRUTH.items():
        mean, sd = model.mean[name], model.sd[name]
        print(f"  {name} = {mean:.4f} ± {sd:.4f} meV, {(mean - truth) / sd:+.1f} errors from {truth:g}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        place.mkdir(parents=True, exist_ok=True)
        fit_each_and_all(write_files(place))
