"""The package behaves as it was recorded to: see ``record.py``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.behaviour import format_cases
from tests.behaviour.observe import differences, machine
from tests.behaviour.record import GROUPS, RECORD, observe


@pytest.mark.parametrize("group", GROUPS)
def test_behaviour_is_as_recorded(group: str, tmp_path: Path) -> None:
    if group == "real files" and not format_cases.DATA.is_dir():
        pytest.skip("the reference data are not here: set EXP2SIM_REFERENCE_DATA to their folder")
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    here = record["machine"] == machine()
    lines = differences(record[group], observe(group, tmp_path), same_machine=here, place=group)
    assert not lines, "\n".join(lines[:40])
