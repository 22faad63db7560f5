"""The entry in Workbench's menu of interfaces that opens the window.

Workbench's own list takes files of Mantid's folder alone, from a setting whose copy would hide interfaces of
its next version. So `algorithms/menu` adds the entry while Workbench starts, through the plugin directory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QThread, QTimer
from qtpy.QtWidgets import QApplication, QMenu, QMessageBox

from mantid_exp2sim import interface
from mantid_exp2sim.errors import Exp2SimError

ENTRY = "Exp2Sim"
TIP = "Deconvolve, check, classify and fit the selected workspaces"
TRIES = 240
EVERY = 500
"""Milliseconds between two tries to find Workbench's window, which is not there yet when plugins load."""


class MenuEntry(QObject):
    """Wait for Workbench's window, and put the entry into its menu whenever Workbench has built it anew."""

    def __init__(self, application: QObject) -> None:
        super().__init__(application)
        self._tries = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._find)
        self._timer.start(EVERY)

    def _find(self) -> None:
        self._tries += 1
        widgets = (getattr(widget, "interfaces_menu", None) for widget in QApplication.topLevelWidgets())
        menus = [widget for widget in widgets if isinstance(widget, QMenu)]
        for menu in menus:
            menu.aboutToShow.connect(partial(_add, menu))
            _add(menu)
        if menus or self._tries >= TRIES:
            self._timer.stop()


def add_to_workbench() -> None:
    """Add the entry, once; where there is no application of Qt, or this is not its thread, do nothing."""
    application = QApplication.instance()
    if application is None or application.thread() != QThread.currentThread():
        return
    if not any(isinstance(child, MenuEntry) for child in application.children()):
        MenuEntry(application)


def _add(menu: QMenu) -> None:
    if any(action.text() == ENTRY for action in menu.actions()):
        return
    action: Any = menu.addAction(ENTRY)
    action.setToolTip(TIP)
    action.setStatusTip(TIP)
    action.triggered.connect(lambda *_: _open())


def _open() -> None:
    try:
        interface.show()
    except Exp2SimError as error:
        QMessageBox.warning(QApplication.activeWindow(), "exp2sim", str(error))
