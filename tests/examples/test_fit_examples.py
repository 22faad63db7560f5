"""The example of two instruments: its files are read back with what it put in, and fitted."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from mantid_exp2sim import FitOptions, Measurement, load

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_two_instruments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("fit_two_instruments")
    paths = example.write_files(tmp_path)
    data = {name: Measurement(load(path), name) for name, path in paths.items()}
    energies = {name: item.histogram.metadata["incident_energy"] for name, item in data.items()}
    assert energies == {"MERLIN": 16.0, "LET": 10.0}
    capsys.readouterr()
    example.report(["MERLIN"], data, FitOptions(starts=1, samples=0, width_scale=False))
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("MERLIN: reduced χ²")
    for line, (name, truth) in zip(lines, example.TRUTH.items(), strict=True):
        match = re.match(rf"  {name} = (\S+) ± (\S+) meV", line)
        assert match is not None
        assert abs(float(match[1]) - truth) < 3.5 * float(match[2]) < 0.005
