"""The window on Qt without a screen: every button, cancel, errors, and that it never freezes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.classify import Classification
from mantid_exp2sim.interface.work import WORK
from mantid_exp2sim.io import load, save
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES

if TYPE_CHECKING:
    from mantid_exp2sim.interface.qt.window import Window

# matplotlib asks Qt 6 for a setting of Qt 5.
pytestmark = pytest.mark.filterwarnings("ignore:Enum value:DeprecationWarning")
Wait = Callable[..., None]
LONGEST_GAP = 2.0
"""Seconds that the window may stand still on a machine with many other programs; a fit takes minutes."""


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the window would show in a box."""
    texts: list[str] = []

    def tell(window: object, text: str) -> None:
        texts.append(text)

    monkeypatch.setattr("mantid_exp2sim.interface.qt.window.Window.complain", tell)
    return texts


def answer_dialog(monkeypatch: pytest.MonkeyPatch, dialog: str, answer: object) -> None:
    monkeypatch.setattr(f"qtpy.QtWidgets.{dialog}", lambda *arguments, **keywords: answer)


def test_open_and_remove(
    window: Window, wait: Wait, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_dialog(monkeypatch, "QFileDialog.getOpenFileNames", ([str(volume_file)], ""))
    assert not window.buttons["translation"].isEnabled()
    window.buttons["open"].click()
    wait(lambda: window.job is None)
    assert window.session.current == volume_file.name
    assert window.buttons["translation"].isEnabled()
    assert "16 × 14 × 8" in window.answers.pages["data"].toPlainText()
    window.buttons["remove"].click()
    assert window.session.current is None
    assert not window.buttons["remove"].isEnabled()


def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    window: Window, wait: Wait, volume_file: Path, tmp_path: Path, complaints: list[str]
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no data")
    window.load([tmp_path / "bad.npz", volume_file])
    wait(lambda: window.job is None)
    assert list(window.session.entries) == [volume_file.name]
    assert "bad.npz" in complaints[0]


def test_run_shows_all_parts_and_a_verdict(opened: Window, wait: Wait, tmp_path: Path) -> None:
    opened.buttons["translation"].click()
    assert opened.buttons["cancel"].isEnabled()
    assert not opened.buttons["translation"].isEnabled()
    wait(lambda: opened.job is None)
    titles = [axes.get_title() for axes in opened.pictures.canvas.drawing.maps]
    assert titles == ["before", "after", "background", "residual"]
    assert "not known" in opened.answers.pages["domain"].toPlainText()  # the model keeps no reference
    opened.save("after", tmp_path / "a.npz")
    result = opened.session.part("after")
    assert result is not None
    np.testing.assert_array_equal(load(tmp_path / "a.npz").intensity, result.intensity)


@pytest.mark.parametrize(
    ("kind", "value", "page", "text"),
    [
        ("domain", DomainReport(0.25, 1.5, "trustworthy", 2.0, 4.0), "domain", "trustworthy"),
        (
            "classification",
            Classification({"A": 0.75}, "A", 0.75, "convolved", 0.5),
            "classification",
            "0.750",
        ),
    ],
)
def test_each_question_fills_its_page(
    opened: Window,
    wait: Wait,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    value: object,
    page: str,
    text: str,
) -> None:
    monkeypatch.setitem(WORK, kind, lambda entry, choice, progress: value)
    opened.buttons[kind].click()
    wait(lambda: opened.job is None)
    assert opened.answers.currentWidget() is opened.answers.pages[page]
    assert text in opened.answers.pages[page].toPlainText()


def test_fit_asks_for_a_known_instrument(opened: Window, wait: Wait, complaints: list[str]) -> None:
    opened.buttons["fit"].click()
    wait(lambda: opened.job is None)
    assert "instrument" in complaints[0].lower()


def test_cancel_changes_nothing(opened: Window, wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(entry: object, choice: object, progress: Callable[[int, int, str], None]) -> None:
        while True:
            time.sleep(0.002)
            progress(1, 2, "on and on")

    monkeypatch.setitem(WORK, "translation", endless)
    opened.buttons["translation"].click()
    wait(lambda: opened.progress.format().startswith("on and on"))
    opened.buttons["cancel"].click()
    wait(lambda: opened.job is None)
    assert opened.session.outcomes == {}
    assert opened.buttons["translation"].isEnabled()


def test_an_error_is_told_and_the_window_stays(
    opened: Window, wait: Wait, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("something nobody thought of")

    monkeypatch.setitem(WORK, "domain", fail)
    opened.buttons["domain"].click()
    wait(lambda: opened.job is None)
    assert complaints == ["KeyError: 'something nobody thought of'"]
    opened.settings.energy.setText("fifty")
    opened.buttons["domain"].click()
    assert "'fifty' is not all numbers" in complaints[1]


def test_sliders_axes_scale_and_limits(opened: Window) -> None:
    pictures = opened.pictures
    volume = opened.session.entry.histogram
    pictures.sliders[2].setValue(5)
    mesh = pictures.canvas.drawing.maps[0].collections[0]
    np.testing.assert_array_equal(
        np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan).reshape(14, 16), volume.intensity[:, :, 5].T
    )
    pictures.up_box.setCurrentIndex(2)
    assert (pictures.view.across, pictures.view.up, list(pictures.sliders)) == (0, 2, [1])
    pictures.across_box.setCurrentIndex(2)
    assert (pictures.view.across, pictures.view.up) == (2, 0)
    pictures.scale_box.setCurrentText("logarithm")
    pictures.high_field.setText("12.5")
    pictures.high_field.editingFinished.emit()
    norm = pictures.canvas.drawing.maps[0].collections[0].norm
    assert type(norm).__name__ == "LogNorm"
    assert norm.vmax == 12.5


def test_a_dragged_box_cuts(opened: Window, wait: Wait) -> None:
    from matplotlib.backend_bases import MouseButton, MouseEvent

    pictures, canvas = opened.pictures, opened.pictures.canvas.canvas
    canvas.draw()
    axes = pictures.canvas.drawing.maps[0]
    for name, place in (
        ("button_press_event", (-0.8, -0.8)),
        ("motion_notify_event", (-0.4, -0.5)),
        ("button_release_event", (-0.4, -0.5)),
    ):
        x, y = axes.transData.transform(place)
        canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, MouseButton.LEFT))
    assert pictures.view.box is not None
    np.testing.assert_allclose(pictures.view.box, (-0.8, -0.4, -0.8, -0.5), atol=0.03)
    assert len(pictures.canvas.drawing.lines) == 2
    pictures.clear_button.click()
    assert pictures.view.box is None
    assert pictures.canvas.drawing.lines == []


def test_a_mosaic_has_a_slider_of_incident_energies(
    window: Window, wait: Wait, picture: Histogram, tmp_path: Path
) -> None:
    save(picture, tmp_path / "mosaic.npz")
    window.load([tmp_path / "mosaic.npz"])
    wait(lambda: window.job is None)
    slider = window.pictures.sliders[-1]
    slider.setValue(len(INCIDENT_ENERGIES) - 1)
    shown = window.pictures.canvas.drawing.maps[0].collections[0]
    bin_of_energy = window.pictures.view.bins[2]
    panel = picture.intensity[200:240, 40 * bin_of_energy : 40 * bin_of_energy + 40][::-1]
    np.testing.assert_array_equal(
        np.ma.filled(np.ma.asarray(shown.get_array()), np.nan).reshape(40, 40), panel.T
    )


def test_menu_saves_exports_and_copies(
    opened: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtGui import QGuiApplication

    answer_dialog(monkeypatch, "QInputDialog.getItem", ("before", True))
    answer_dialog(monkeypatch, "QFileDialog.getSaveFileName", (str(tmp_path / "b.npz"), ""))
    opened.actions_by_name["Save a part"].trigger()
    assert load(tmp_path / "b.npz").shape == (16, 14, 8)
    answer_dialog(monkeypatch, "QFileDialog.getSaveFileName", (str(tmp_path / "b.png"), ""))
    opened.actions_by_name["Export the picture"].trigger()
    assert (tmp_path / "b.png").stat().st_size > 1000
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    opened.actions_by_name["Copy as Python script"].trigger()
    assert clipboard.text().startswith("import mantid_exp2sim as e2s")
    opened.actions_by_name["Copy as Mantid script"].trigger()
    assert "simpleapi.LoadMD(" in clipboard.text()
    opened.actions_by_name["Close"].trigger()
    assert not opened.isVisible()


def test_everything_has_a_name_and_keys(window: Window) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSlider

    kinds: tuple[Any, ...] = (QAbstractButton, QComboBox, QLineEdit, QSlider)
    beside = window.pictures.show_box.parentWidget()
    assert beside is not None
    ours = [w for part in (window.settings, beside) for k in kinds for w in part.findChildren(k)]
    unnamed = [w for w in ours if not w.accessibleName() and w.parent() is not None and not _is_inner(w)]
    assert not unnamed
    shortcuts = [
        window.buttons[name].shortcut().toString() for name in ("open", "translation", "fit", "cancel")
    ]
    assert shortcuts == ["Ctrl+O", "Ctrl+R", "Ctrl+F", "Esc"]


def _is_inner(widget: Any) -> bool:
    """Parts that Qt and matplotlib put into their own widgets."""
    inner = ("QLineEdit", "QComboBox", "NavigationToolbar2QT", "QToolBar")
    return type(widget.parent()).__name__ in inner


def test_the_window_never_freezes(
    window: Window, wait: Wait, free_volume: Callable[..., Histogram], tmp_path: Path
) -> None:
    from qtpy.QtCore import QTimer

    save(free_volume((40, 40, 20)), tmp_path / "large.npz")
    window.load([tmp_path / "large.npz"])
    wait(lambda: window.job is None)
    window.settings.model.setCurrentText("tiny-3d")
    window.settings.method.setCurrentText("network")
    window.settings.force.setChecked(True)
    beats: list[float] = []

    def beat() -> None:
        if window.job is not None:  # the drawing of the result comes after the work
            beats.append(time.monotonic())

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(10)
    window.buttons["translation"].click()
    job = window.job
    assert job is not None
    wait(job.isFinished)
    timer.stop()
    assert len(beats) > 5
    assert np.diff(beats).max() < LONGEST_GAP


def test_closing_ends_the_work(opened: Window, wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    def endless(entry: object, choice: object, progress: Callable[[int, int, str], None]) -> None:
        try:
            while True:
                time.sleep(0.002)
                progress(1, 2, "on and on")
        finally:
            ended.append(True)

    monkeypatch.setitem(WORK, "fit", endless)
    opened.buttons["fit"].click()
    opened.close()
    assert ended == [True]
