"""`benchmarks/run_all.py` fails where a target is missed or a benchmark crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN_ALL = Path(__file__).resolve().parents[2] / "benchmarks" / "run_all.py"
PROGRAMS = {
    "good": 'print(\'[{"name": "quick", "value": 1.0, "met": true}]\')',
    "untargeted": 'print(\'[{"name": "any", "value": 1.0}]\')',
    "missed": 'print(\'[{"name": "slow", "value": 9.0, "met": false}]\'); raise SystemExit(1)',
    "crashed": "raise RuntimeError('no such thing')",
    "silent": "pass",
    "late": 'print(\'[{"name": "half", "value": 1.0, "met": true}]\'); raise RuntimeError(\'no more\')',
}


def run(folder: Path, *names: str) -> tuple[int, list[dict[str, Any]]]:
    for name in names:
        (folder / f"{name}.py").write_text(PROGRAMS[name], encoding="utf-8")
    command = [sys.executable, str(RUN_ALL), "--folder", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_all_targets_met(tmp_path: Path) -> None:
    status, rows = run(tmp_path, "good", "untargeted")
    assert status == 0
    assert [row["name"] for row in rows] == ["quick", "any"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("missed", "slow"), ("crashed", "no such thing"), ("silent", "printed no rows"), ("late", "no more")],
)
def test_a_missed_target_and_a_crash_fail_after_all_have_run(tmp_path: Path, name: str, said: str) -> None:
    status, rows = run(tmp_path, name, "untargeted")
    assert status == 1
    assert rows[-1]["name"] == "any"
    failed = [row for row in rows if row["met"] is False]
    assert len(failed) == 1
    assert said in failed[0]["name"] + failed[0]["note"]


def test_an_unknown_name_is_refused() -> None:
    command = [sys.executable, str(RUN_ALL), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark 'nothing'" in done.stderr
    assert "simulation" in done.stderr
