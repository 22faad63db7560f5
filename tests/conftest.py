"""Shared fixtures."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("project", deadline=None, max_examples=30, derandomize=True)
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Real files that are not part of the repository: EXP2SIM_REFERENCE_DATA, else beside the checkout."""
    default = ROOT.parent / "shared" / "reference" / "data"
    folder = Path(os.environ.get("EXP2SIM_REFERENCE_DATA", default))
    if not folder.is_dir():
        pytest.skip("the reference data are not here: set EXP2SIM_REFERENCE_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """The same bytes on every machine, and no fight for cores; torch is not imported for tests without it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
