"""Workspaces of Mantid in the window: on a real Mantid if there is one, else on the stand-in."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.interface import script, workspaces
from mantid_exp2sim.interface.session import Choice, Session
from mantid_exp2sim.interface.work import WORK
from mantid_exp2sim.mantid.user_properties import algorithms_folder

# matplotlib asks Qt 6 for a setting of Qt 5.
pytestmark = pytest.mark.filterwarnings("ignore:Enum value:DeprecationWarning")


@pytest.fixture
def mantid(volume_file: Path) -> Iterator[Any]:
    """Mantid's simple functions, with one workspace "ws" in the data service."""
    if importlib.util.find_spec("mantid") is None:
        sys.path.insert(0, str(Path(__file__).parents[1] / "mantid_double"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a real Mantid may warn while it is imported
        from mantid import simpleapi

    simpleapi.mtd.clear()
    simpleapi.LoadMD(Filename=str(volume_file), OutputWorkspace="ws")
    yield simpleapi
    simpleapi.mtd.clear()


@pytest.fixture
def with_workspace(mantid: Any) -> Session:
    session = Session()
    session.add(workspaces.workspace_entry("ws"))
    return session


def test_a_workspace_is_read_and_its_result_is_a_new_one(mantid: Any, with_workspace: Session) -> None:
    before = with_workspace.entry.histogram
    assert workspaces.workspace_names() == ["ws"]
    assert before.metadata["incident_energy"] == 50.0
    signal = mantid.mtd["ws"].getSignalArray().copy()
    workspaces.write_workspace(before.replace(intensity=before.intensity / 2), "ws", "half")
    half = workspaces.workspace_entry("half").histogram
    np.testing.assert_allclose(half.intensity, before.intensity / 2)
    np.testing.assert_array_equal(mantid.mtd["ws"].getSignalArray(), signal)
    with pytest.raises(Exp2SimError, match="already"):
        workspaces.write_workspace(before, "ws", "half")
    with pytest.raises(Exp2SimError, match="no MDHistoWorkspace"):
        workspaces.workspace_entry("none")


def test_the_mantid_script_gives_the_same_result(
    mantid: Any, with_workspace: Session, choice: Choice
) -> None:
    def nobody(done: int, total: int, text: str) -> None: ...

    entry = with_workspace.entry
    with_workspace.record("ws", "translation", WORK["translation"](entry, choice, nobody), choice)
    exec(compile(script.mantid_script(with_workspace), "script", "exec"), {})
    result, after = workspaces.workspace_entry("ws_result").histogram, with_workspace.part("after")
    assert after is not None
    np.testing.assert_allclose(result.intensity, after.intensity, rtol=1e-3, atol=1e-3)
    assert set(workspaces.workspace_names()) >= {"ws_background", "ws_residual"}


def test_show_takes_the_selected_workspaces(
    mantid: Any, qt_application: object, wait: Callable[..., None]
) -> None:
    from qtpy.QtWidgets import QWidget

    from mantid_exp2sim import interface

    class WorkspaceList(QWidget):
        def getSelectedWorkspaceNames(self) -> list[str]:
            return ["ws", "not a histogram"]

    selected = WorkspaceList()
    window = interface.show()
    assert list(window.session.entries) == ["ws"]
    before = window.session.entry.histogram
    half = Translation(before.replace(intensity=before.intensity / 2))
    window.session.record("ws", "translation", half, Choice())
    window.actions_by_name["Result to Mantid"].trigger()
    assert mantid.mtd.doesExist("ws_result")
    window.actions_by_name["Copy as Python script"].trigger()
    window.close()
    selected.deleteLater()


def test_workbench_has_an_entry_in_its_menu(
    mantid: Any, qt_application: object, wait: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workbench's window is there after the plugins, and builds its menu anew when a setting changes."""
    from mantid.kernel import plugins
    from qtpy.QtWidgets import QApplication, QMainWindow

    from mantid_exp2sim.interface.qt.menu import EVERY, MenuEntry
    from mantid_exp2sim.interface.qt.window import Window

    class Workbench(QMainWindow):
        def __init__(self) -> None:
            super().__init__()
            self.interfaces_menu: Any = self.menuBar().addMenu("&Interfaces")

        def getSelectedWorkspaceNames(self) -> list[str]:
            return ["ws"]

    monkeypatch.setitem(sys.modules, "workbench", types.ModuleType("workbench"))
    for _ in range(2):
        plugins.load(str(algorithms_folder() / "menu"))
    workbench = Workbench()
    menu = workbench.interfaces_menu
    wait(lambda: bool(menu.actions()), 10 * EVERY / 1000)
    menu.clear()
    menu.aboutToShow.emit()
    menu.aboutToShow.emit()
    (entry,) = menu.actions()
    entry.trigger()
    (window,) = (
        widget
        for widget in QApplication.topLevelWidgets()
        if isinstance(widget, Window) and widget.isVisible()
    )
    assert list(window.session.entries) == ["ws"]
    window.close()
    application = QApplication.instance()
    assert application is not None
    for child in application.findChildren(MenuEntry):
        child.deleteLater()
    workbench.deleteLater()
