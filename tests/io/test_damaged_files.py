from __future__ import annotations

from pathlib import Path

import pytest

from mantid_exp2sim import Exp2SimError, load
from tests.fuzz import fuzz_readers as fuzz

KINDS = ["horace 2, 3", "horace 4", "matlab 5", "matlab 7.3", "nxspe", "mdhisto", "npz", "npy"]


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_are_good_or_refer_to_themselves(tmp_path: Path, kind: str) -> None:
    ending, pool = fuzz.seeds()[kind]
    for i, content in enumerate(pool):
        (tmp_path / f"a{ending}").write_bytes(content)
        if kind == "matlab 7.3" and i >= 4:
            with pytest.raises(Exp2SimError, match="itself"):
                load(tmp_path / f"a{ending}")
        else:
            assert not load(tmp_path / f"a{ending}").mask.all()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_raise_only_our_error(tmp_path: Path, kind: str) -> None:
    found = fuzz.run(kind, 50_000, 30 if kind == "npy" else 250, tmp_path)
    assert found["wrong"] == []
    assert found["refused"] > 0
    assert found["slowest"] < 5  # a loaded machine; the benchmark holds each to 1 s
