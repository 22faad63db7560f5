"""Long work in a thread: progress, cancel, and a result that arrives in the window's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QThread, Signal

from mantid_exp2sim.errors import Cancelled, Exp2SimError
from mantid_exp2sim.inference.worker import Progress

PAUSE = 0.05
"""Seconds between two messages of progress: more of them would only keep the window busy."""


class Job(QThread):
    """Run ``work(progress)`` in a thread.

    One of the signals ``succeeded(result)``, ``failed(text)`` and ``cancelled()`` comes at the end. A cancel
    is seen at the next step of the work; nothing of what it has made by then is passed on.
    """

    progressed = Signal(float, str)
    succeeded = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, work: Callable[[Progress], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._stop = threading.Event()
        self._told = 0.0

    def cancel(self) -> None:
        """Ask the work to end at its next step."""
        self._stop.set()

    def run(self) -> None:
        """Do the work; called by Qt in the new thread."""
        try:
            result = self._work(self._progress)
        except Cancelled:
            self.cancelled.emit()
        except Exp2SimError as error:
            self._end(self.failed, str(error))
        except MemoryError:
            self._end(self.failed, "There is not enough memory. Try it with less data.")
        except Exception as error:  # a window tells what went wrong, and stays
            self._end(self.failed, f"{type(error).__name__}: {error}")
        else:
            self._end(self.succeeded, result)

    def _end(self, signal: Any, value: object) -> None:
        if self._stop.is_set():
            self.cancelled.emit()
        else:
            signal.emit(value)

    def _progress(self, done: int, total: int, message: str) -> None:
        if self._stop.is_set():
            raise Cancelled("The run was cancelled.")
        now = time.monotonic()
        if now - self._told >= PAUSE or done == total:
            self._told = now
            self.progressed.emit(min(1.0, done / total) if total else 0.0, message)
