from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_case_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs/cases.md").read_text().splitlines() if line.startswith("|")]
    cases = [row for row in rows if not re.match(r"\| (---|input|setting)", row)]
    assert len(cases) > 20
    for row in cases:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert tests, row
        for path, name in tests:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
