"""Work in a thread: results and errors come back, and a cancelled thread does not go on."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from mantid_exp2sim.inference.worker import compute


def quiet(fraction: Any, message: Any) -> None:
    pass


def test_results_errors_and_interrupts_come_back() -> None:
    assert compute(lambda progress: 7, quiet) == 7

    def fails(progress: Any) -> None:
        raise MemoryError("none left")

    with pytest.raises(MemoryError, match="none left"):
        compute(fails, quiet)


def test_every_step_is_reported_in_order_from_the_calling_thread() -> None:
    seen, threads = [], set()

    def report(fraction: Any, message: Any) -> None:
        seen.append((fraction, message))
        threads.add(threading.current_thread())

    def work(progress: Any) -> None:
        for step in range(1, 201):
            progress(step, 200, f"step {step}")

    compute(work, report)
    assert seen == [(step / 200, f"step {step}") for step in range(1, 201)]
    assert threads == {threading.current_thread()}


def test_a_silent_start_is_reported_too() -> None:
    seen = []
    compute(
        lambda progress: time.sleep(0.35),
        lambda fraction, message: seen.append((fraction, message)),
        message="hm",
    )
    assert 2 <= len(seen) <= 4
    assert set(seen) == {(0.0, "hm")}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_a_cancelled_thread_ends_at_its_next_step(kind: Any) -> None:
    steps = []

    def work(progress: Any) -> None:
        for step in range(10_000):
            progress(step, 10_000, "")
            steps.append(step)
            time.sleep(0.005)

    def report(fraction: Any, message: Any) -> None:
        if fraction >= 5 / 10_000:
            raise kind("stop")

    with pytest.raises(kind, match="stop"):
        compute(work, report)
    time.sleep(0.1)
    after = len(steps)
    time.sleep(0.1)
    assert len(steps) == after < 100
    assert not [thread for thread in threading.enumerate() if thread.name == "exp2sim"]


def test_a_total_of_zero_is_no_division() -> None:
    seen = []
    compute(lambda progress: progress(0, 0, "x"), lambda fraction, message: seen.append(fraction))
    assert seen == [0.0]
