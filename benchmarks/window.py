"""The window: how long it stands still while a 60³ volume is deconvolved, and memory after a hundred files.

python benchmarks/window.py [--json]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from table import Row, finish

from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.io import save

ENERGY = 50.0
FILES = 100
FRAME = 0.05
"""Seconds: a person sees no pause below."""


def volume(size: int, seed: int = 0) -> Histogram:
    """A volume in the bins of the model pcsmo-maps-3d."""
    edges = 2 / 39 * (np.arange(size + 1.0) - size / 2)
    axes = (
        Axis("[H,0,0]", edges, unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", edges, unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", ENERGY * (0.1 + 0.01 * np.arange(size + 1.0)), unit="meV", frame="General Frame"),
    )
    intensity = np.random.default_rng(seed).gamma(1.0, 8.0, (size,) * 3)
    return Histogram.from_arrays(intensity, axes, intensity, metadata={"incident_energy": ENERGY})


def rows() -> list[Row]:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from mantid_exp2sim.interface.qt.window import Window

    application = QApplication.instance() or QApplication(["exp2sim"])
    window, folder = Window(), Path(tempfile.mkdtemp())
    window.show()

    def wait(condition: Callable[[], bool]) -> None:
        while not condition():
            QApplication.processEvents()
            time.sleep(0.001)

    def load(name: str) -> None:
        window.load([folder / name])
        wait(lambda: window.job is None)

    save(volume(60), folder / "large.npz")
    load("large.npz")
    window.settings.model.setCurrentText("pcsmo-maps-3d")
    window.settings.method.setCurrentText("network")
    window.settings.force.setChecked(True)
    window.settings.errors.setChecked(False)
    beats: list[float] = []

    def beat() -> None:
        if window.job is not None:  # the drawing of the result comes after the work
            beats.append(time.perf_counter())

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(5)
    start = time.perf_counter()
    window.start("translation")
    job = window.job
    assert job is not None
    wait(job.isFinished)
    seconds = time.perf_counter() - start
    timer.stop()
    gaps = np.diff(beats)
    window.remove()
    for number in range(FILES + 10):
        save(volume(30, number), folder / f"{number}.npz")
    sizes = []
    for number in range(FILES + 10):
        load(f"{number}.npz")
        window.remove()
        sizes.append(resident())
    window.close()
    assert application is not None
    return [
        Row(
            name="window: longest pause, 60³ volume",
            value=float(gaps.max()),
            unit="s",
            note=f"of {seconds:.0f} s",
        ),
        Row(
            name="window: 99.9 % of pauses below",
            value=float(np.quantile(gaps, 0.999)),
            unit="s",
            target=f"≤ {FRAME} s",
            met=bool(np.quantile(gaps, 0.999) <= FRAME),
        ),
        Row(
            name=f"window: memory after {FILES} files",
            value=(sizes[-1] - sizes[9]) / 1e6,
            unit="MB",
            note="growth",
        ),
    ]


def resident() -> float:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return float(pages * resource.getpagesize())


if __name__ == "__main__":
    sys.exit(finish(rows()))
