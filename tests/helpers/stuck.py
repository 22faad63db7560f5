"""A step that does not end by itself, and an algorithm that is cancelled during it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest


class Stuck:
    """Stands in for a function: waits until it is let go, since its run was cancelled."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        self.started.set()
        self.go_on.wait(10)
        raise AssertionError("this run was cancelled")


def assert_cancel_ends(algorithm: Any, step: Stuck) -> None:
    """Execute an algorithm, cancel it during the step, and see it end within a second."""
    asked = []

    def cancel() -> None:
        step.started.wait(10)
        asked.append(time.perf_counter())
        algorithm.cancel()

    threading.Thread(target=cancel).start()
    try:
        with pytest.raises((KeyboardInterrupt, RuntimeError)):
            algorithm.execute()
        assert time.perf_counter() - asked[0] < 1.0
    finally:
        step.go_on.set()
