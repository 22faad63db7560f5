"""The batch of the next step is made while this one is computed.

A batch is a pure function of its step, so nothing but the waiting changes.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

Batch = TypeVar("Batch")
Made = TypeVar("Made", covariant=True)


class Source(Protocol[Made]):
    """Where batches come from."""

    def at(self, step: int) -> Made:
        """The batch of a step."""
        ...


class Prefetch(Generic[Batch]):
    """Batches of a source, each made ahead by one thread of its own. What the source raises is raised here.

    >>> class Squares:
    ...     def at(self, step: int) -> int:
    ...         return step**2
    >>> squares = Prefetch(Squares())
    >>> [squares.at(step) for step in (0, 1, 2, 5, 1)]
    [0, 1, 4, 25, 1]
    """

    def __init__(self, source: Source[Batch]) -> None:
        self.source = source
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._next: tuple[int, Future[Batch]] | None = None

    def at(self, step: int) -> Batch:
        """The batch of a step; that of the next one is begun."""
        ready, self._next = self._next, None
        if ready is not None and ready[0] == step:
            batch = ready[1].result()
        else:
            if ready is not None and not ready[1].cancel():
                ready[1].exception()  # two threads must never be in the source at once
            batch = self.source.at(step)
        self._next = step + 1, self._threads.submit(self.source.at, step + 1)
        return batch
