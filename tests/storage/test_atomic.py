from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mantid_exp2sim import Exp2SimError
from mantid_exp2sim.storage.atomic import alive, atomic_path


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: Any) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with atomic_path(target) as path:
            path.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    mask = os.umask(0o022)
    try:
        with atomic_path(target) as path:
            path.write_text("1")
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
        target.chmod(0o600)
        with atomic_path(target) as path:
            path.write_text("2")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    finally:
        os.umask(mask)


def test_a_read_only_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("keep")
    target.chmod(0o444)
    with pytest.raises(Exp2SimError, match="read-only"), atomic_path(target):
        raise AssertionError("not reached")
    assert target.read_text() == "keep"
    assert list(tmp_path.iterdir()) == [target]


def test_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_path(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_bad_targets(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "none" / "a.txt"):
        with pytest.raises(Exp2SimError), atomic_path(target):
            pass


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="states of processes are read on Linux alone"
)
def test_a_process_that_ended_is_not_alive_before_anybody_asked_for_its_status() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        assert alive(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        for _ in range(1000):
            if not alive(process.pid):
                break
            time.sleep(0.01)
        assert not alive(process.pid)
        assert process.returncode is None
        process.wait()
