"""The window: look at data, deconvolve, check, classify and fit them.

`show` opens it in a program that has Qt's event loop, such as MantidWorkbench; `run` opens it alone. Qt comes
through ``qtpy``: PyQt5 in Mantid, PySide6 with ``pip install mantid_exp2sim[interface]``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.interface.qt.window import Window

_windows: list[Window] = []
"""Windows and, alone, the application live as long as these lists hold them."""
_applications: list[object] = []


def show(*workspaces: str) -> Window:
    """Open a window in a running program, with workspaces of Mantid by name.

    Without names it takes those that are selected in Workbench. A second call opens a second window.

    Raises
    ------
    Exp2SimError
        If there is no Qt, or no such workspace.
    """
    window = _open()
    from mantid_exp2sim.interface.workspaces import in_mantid, selected_names

    names = workspaces or tuple(selected_names() if in_mantid() else ())
    if names:
        window.add_workspaces(names)
    return window


def run(files: Sequence[str] = ()) -> int:
    """Open a window alone with files, and return the exit status when it is closed."""
    window = _open()
    from qtpy.QtWidgets import QApplication

    window.load(list(files))
    return int(QApplication.exec())


def _open() -> Window:
    _require_qt()
    from qtpy.QtWidgets import QApplication

    if QApplication.instance() is None:
        _scale_up()
        _applications.append(QApplication(["exp2sim"]))
    from mantid_exp2sim.interface.qt.window import Window

    _windows[:] = [window for window in _windows if window.isVisible()]
    _windows.append(Window())
    _windows[-1].show()
    return _windows[-1]


def _require_qt() -> None:
    """Raise `Exp2SimError` where Qt cannot be loaded, or has no screen to draw on."""
    try:
        importlib.import_module("qtpy.QtWidgets")
    except Exception as error:  # qtpy raises errors of its own, the system's loader others
        raise Exp2SimError(
            "The window needs Qt.",
            reason=f"{type(error).__name__}: {error}.",
            fix="pip install 'mantid_exp2sim[interface]'; on Linux also the system's libegl1, libxkbcommon0.",
        ) from error
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _SCREENS):
        raise Exp2SimError(
            "There is no screen.",
            reason=f"None of {', '.join(_SCREENS)} is set.",
            fix="Use the commands (`exp2sim --help`), or connect with a desktop or `ssh -X`.",
        )


def _scale_up() -> None:
    """Let Qt 5 use the pixels of a fine screen, as Qt 6 does."""
    from qtpy.QtCore import Qt, qVersion
    from qtpy.QtWidgets import QApplication

    if qVersion().startswith("5"):
        for name in ("AA_EnableHighDpiScaling", "AA_UseHighDpiPixmaps"):
            QApplication.setAttribute(getattr(Qt.ApplicationAttribute, name))


_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
