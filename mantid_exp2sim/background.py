"""Work in a thread, so that a cancel is seen while a library is loading or a network runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from mantid_exp2sim.errors import Cancelled

T = TypeVar("T")
Progress = Callable[[int, int, str], None]
POLL = 0.1
"""Seconds between two looks at whether the run was cancelled."""


def compute(
    work: Callable[[Progress], T], report: Callable[[float, str], None], *, message: str = "loading"
) -> T:
    """Run ``work(progress)`` in a thread and give its result.

    ``report(fraction, message)`` is called here, for every step and ten times a second. Whatever it raises
    (Mantid's `KeyboardInterrupt` after a cancel) ends the run at once: the thread is told at its next step,
    and what it has made by then is thrown away. What ``work`` raises is raised here.

    >>> compute(lambda progress: progress(1, 1, "half") or 42, lambda fraction, message: None)
    42
    """
    steps: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
    stop = threading.Event()
    outcome: list[tuple[bool, Any]] = []

    def progress(done: int, total: int, text: str) -> None:
        if stop.is_set():
            raise Cancelled("The run was cancelled.")
        steps.put((min(1.0, done / total) if total else 0.0, text))

    def target() -> None:
        try:
            outcome.append((True, work(progress)))
        except BaseException as error:
            outcome.append((False, error))
        finally:
            steps.put(None)

    thread = threading.Thread(target=target, name="exp2sim", daemon=True)
    thread.start()
    try:
        _pass_on(steps, report, message)
    except BaseException:
        stop.set()
        raise
    thread.join()
    done, value = outcome[0]
    if not done:
        raise value
    result: T = value
    return result


def _pass_on(
    steps: queue.SimpleQueue[tuple[float, str] | None], report: Callable[[float, str], None], message: str
) -> None:
    last = (0.0, message)
    while True:
        try:
            step = steps.get(timeout=POLL)
        except queue.Empty:
            step = last
        if step is None:
            return
        last = step
        report(*last)
