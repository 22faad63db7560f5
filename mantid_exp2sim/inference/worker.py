"""Threads: work beside a progress bar that a cancel ends, and torch's threads on a machine that is busy."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mantid_exp2sim.errors import Cancelled

T = TypeVar("T")
Progress = Callable[[int, int, str], None]
POLL = 0.1
"""Seconds between two looks at whether the run was cancelled."""
MOST_SLEEPERS = 3
"""Threads that :func:`short_waits` holds at most."""


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


@contextmanager
def short_waits() -> Iterator[None]:
    """Let torch's threads sleep while they wait for each other, until the ``with`` block ends.

    GNU's OpenMP lets a thread that waits keep its core busy for milliseconds, as long as it counts no more
    threads than cores. Where other programs need the cores, that takes them from the very thread that is
    waited for: a run takes several times as long. Threads of ours that own a sleeping team each make it
    count more than there are cores, so waiting threads sleep at once. No setting of the process changes,
    and no result.

    >>> with short_waits():
    ...     pass
    """
    import torch

    team, cores = torch.get_num_threads(), os.cpu_count() or 1
    count = min(MOST_SLEEPERS, max(0, cores - team) // (team - 1) + 1) if team > 1 else 0
    ready, end = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        try:
            torch.ones(team * 2**15).add_(1)  # large enough for all threads of a team
        finally:
            ready.release()
        end.wait()

    sleepers = [threading.Thread(target=hold, name="exp2sim", daemon=True) for _ in range(count)]
    try:
        for sleeper in sleepers:
            sleeper.start()
            ready.acquire()
        yield
    finally:
        end.set()
        for sleeper in sleepers:
            if sleeper.is_alive():
                sleeper.join()
