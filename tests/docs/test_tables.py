"""The tables of docs/results.md are those of the shipped cards and of docs/benchmarks.json."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def make_tables(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCS / "make_tables.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_tables_are_up_to_date() -> None:
    done = make_tables("--check")
    assert done.returncode == 0, done.stderr


def test_a_changed_figure_is_noticed_and_put_right(tmp_path: Path) -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    copy = tmp_path / "results.md"
    copy.write_text(text.replace("**0.140**", "**0.104**"), encoding="utf-8")
    assert copy.read_text(encoding="utf-8") != text
    done = make_tables("--check", "--file", str(copy))
    assert done.returncode == 1
    assert "Fix: python docs/make_tables.py" in done.stderr
    assert make_tables("--file", str(copy)).returncode == 0
    assert copy.read_text(encoding="utf-8") == text


def test_results_are_short() -> None:
    lines = (DOCS / "results.md").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if not line.startswith("|") for word in line.split()]
    assert len(words) <= 1500
