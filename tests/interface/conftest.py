"""A session of data with small models, and one application of Qt without a screen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mantid_exp2sim.histogram import Axis, Histogram
from mantid_exp2sim.interface.session import Choice, Session, read_entry
from mantid_exp2sim.io import save
from tests.helpers.small_models import free_volume, make_model, models_folder, picture, volume

if TYPE_CHECKING:
    from mantid_exp2sim.interface.qt.window import Window

__all__ = ["free_volume", "make_model", "models_folder", "picture", "volume"]

Wait = Callable[..., None]


@pytest.fixture(autouse=True)
def _models(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXP2SIM_MODELS", str(models_folder))


@pytest.fixture
def volume_file(free_volume: Callable[..., Histogram], tmp_path: Path) -> Path:
    """A volume that the model "tiny-3d" takes."""
    path = tmp_path / "volume.nxs"
    save(free_volume((16, 14, 8)), path)
    return path


@pytest.fixture
def session(volume_file: Path) -> Session:
    session = Session()
    session.add(read_entry(volume_file))
    return session


@pytest.fixture
def choice() -> Choice:
    return Choice(model="tiny-3d", method="network", force=True)


@pytest.fixture(scope="session")
def qt_application() -> object:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        from qtpy.QtWidgets import QApplication
    except Exception as error:
        pytest.skip(f"Qt cannot be loaded (libegl1 and libxkbcommon0 of the system?): {error}")
    return QApplication.instance() or QApplication(["exp2sim"])


@pytest.fixture
def wait(qt_application: object) -> Wait:
    """wait(condition): let Qt work until it holds."""
    from qtpy.QtWidgets import QApplication

    def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            QApplication.processEvents()
            time.sleep(0.002)
        QApplication.processEvents()

    return until


@pytest.fixture
def window(qt_application: object, wait: Wait) -> Iterator[Window]:
    from mantid_exp2sim.interface.qt.window import Window

    window = Window()
    window.show()
    yield window
    window.close()
    wait(lambda: window.job is None)


@pytest.fixture
def opened(window: Window, wait: Wait, volume_file: Path) -> Window:
    """A window that shows a volume, with the model for it."""
    window.load([volume_file])
    wait(lambda: window.job is None)
    window.settings.model.setCurrentText("tiny-3d")
    window.settings.method.setCurrentText("network")
    window.settings.force.setChecked(True)
    return window


@pytest.fixture
def ramp() -> Histogram:
    """Intensity 100 h + 10 k + E in bins (3, 4, 5), variance 4."""
    axes = (
        Axis("[H,0,0]", np.arange(4.0), unit="r.l.u.", frame="HKL"),
        Axis("[0,K,0]", np.arange(5.0), unit="r.l.u.", frame="HKL"),
        Axis("DeltaE", np.arange(6.0), unit="meV", frame="General Frame"),
    )
    h, k, energy = np.meshgrid(np.arange(3.0), np.arange(4.0), np.arange(5.0), indexing="ij")
    intensity = 100 * h + 10 * k + energy
    return Histogram.from_arrays(intensity, axes, np.full(intensity.shape, 4.0))
