"""Processes that work on many files at the same time, and end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from mantid_exp2sim.errors import Exp2SimError

WAITING = 2
"""Tasks for each process that are handed out ahead."""


class Pool:
    """Run functions on files in ``jobs`` processes, or in this one if there is one job.

    A process that dies (out of memory, a crash in a library) fails the files that were handed out, and the
    next ones get new processes. When the block ends early, whatever runs is stopped.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pending: dict[Future[Any], Path] = {}
        self._results: list[tuple[Path, Any]] = []
        self._pool: ProcessPoolExecutor | None = None
        self._end: Connection | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def submit(self, key: Path, function: Callable[..., Any], *arguments: Any) -> None:
        """Hand out a task; with one job it is done at once."""
        if self._jobs == 1:
            self._results.append((key, function(*arguments)))
            return
        try:
            future = self._processes().submit(function, *arguments)
        except BrokenProcessPool:
            self._collect(block=True)
            future = self._processes().submit(function, *arguments)
        self._pending[future] = key

    def finished(self, *, is_full: bool) -> Iterator[tuple[Path, Any]]:
        """Give the results that are there; ``is_full`` waits for one where enough is handed out."""
        self._collect(block=is_full and len(self._pending) >= WAITING * self._jobs)
        results, self._results = self._results, []
        yield from results

    def drain(self) -> Iterator[tuple[Path, Any]]:
        """Give all results that are still to come."""
        while self._pending or self._results:
            self._collect(block=True)
            results, self._results = self._results, []
            yield from results

    def _collect(self, *, block: bool) -> None:
        if not self._pending:
            return
        done, _ = wait(self._pending, timeout=None if block else 0, return_when=FIRST_COMPLETED)
        for future in done:
            self._results.append((self._pending.pop(future), _result(future)))
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            done, _ = wait(self._pending)
            self._results += [(self._pending.pop(future), _result(future)) for future in done]
            self._stop()

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            end_of_workers, self._end = context.Pipe(duplex=False)
            threads = max(1, (os.cpu_count() or 1) // self._jobs)
            self._pool = ProcessPoolExecutor(
                self._jobs, mp_context=context, initializer=_begin, initargs=(end_of_workers, threads)
            )
        return self._pool

    def _stop(self) -> None:
        """End the processes, also in the middle of a task."""
        if self._pool is None:
            return
        if self._end is not None:
            self._end.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._end = None


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        return Exp2SimError(
            "The process that worked on it ended.",
            reason="It ran out of memory, or a library crashed; others that it had waiting fail with it.",
            fix="Give the same command again, with fewer --jobs.",
        )
    return future.result() if error is None else error


def _begin(end: Connection, threads: int) -> None:
    """Prepare a process: Ctrl-C is for the one that started it, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def _end_with(end: Connection) -> None:
    """Leave when the other end of a pipe is closed, by hand or by the death of its process."""
    try:
        end.recv()
    except (EOFError, OSError):
        os._exit(1)
