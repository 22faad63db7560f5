"""Small things that all parts of the window use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton, QWidget


def named(widget: QWidget, name: str, tip: str = "") -> None:
    """Give a widget the name that a screen reader says, and a tip."""
    widget.setAccessibleName(name)
    widget.setObjectName(name)
    widget.setToolTip(tip or name)
    widget.setStatusTip(tip or name)


def button(text: str, act: Callable[[], object], tip: str, shortcut: str = "") -> QPushButton:
    """Make a button; its tip tells the shortcut."""
    widget = QPushButton(text)
    named(widget, text.replace("&", "").rstrip("…"), f"{tip} ({shortcut})" if shortcut else tip)
    if shortcut:
        widget.setShortcut(QKeySequence(shortcut))
    widget.clicked.connect(lambda *_: act())
    return widget


def choices(name: str, texts: Iterable[str], tip: str = "") -> QComboBox:
    """Make a box to choose one of some texts."""
    widget = QComboBox()
    widget.addItems(list(texts))
    widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    named(widget, name, tip)
    return widget


def field(name: str, placeholder: str, tip: str = "") -> QLineEdit:
    """Make a line to write into; ``placeholder`` says what an empty one means."""
    widget = QLineEdit()
    widget.setPlaceholderText(placeholder)
    widget.setClearButtonEnabled(True)
    named(widget, name, tip)
    return widget


def set_texts(widget: QComboBox, texts: Iterable[str], current: int) -> None:
    """Exchange the texts of a box without telling anybody."""
    blocker = QSignalBlocker(widget)
    widget.clear()
    widget.addItems(list(texts))
    widget.setCurrentIndex(current)
    blocker.unblock()
