"""The middle of the window: pictures, what they show and on which scale, and sliders of the other axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.qt.canvas import Canvas
from mantid_exp2sim.interface.qt.widgets import button, choices, field, named, set_texts
from mantid_exp2sim.interface.session import Session, read_numbers
from mantid_exp2sim.interface.views import (
    SCALES,
    SHOWS,
    View,
    cuts,
    first_view,
    panels,
    place_words,
    sliders,
    volumes,
    with_axes,
)
from mantid_exp2sim.mosaic import INCIDENT_ENERGIES, is_mosaic


class Pictures(QWidget):
    """Look at the data of a session; ``told(text)`` passes on what cannot be shown."""

    told = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.view = View()
        self._name: str | None = None
        self.canvas = Canvas(self)
        self.canvas.boxed.connect(lambda box: self.change(box=box))
        self.show_box = choices("Show", SHOWS, "Which parts of the data are shown")
        self.scale_box = choices("Scale", SCALES, "Colour scale of the intensity")
        self.across_box = choices("Across", (), "Axis to the right")
        self.up_box = choices("Up", (), "Axis upwards")
        self.low_field = field("Low", "auto", "Lower end of the colour scale")
        self.high_field = field("High", "auto", "Upper end of the colour scale")
        self.clear_button = button("Clear cut", lambda: self.change(box=None), "Remove the box and its cuts")
        self.sliders: dict[int, QSlider] = {}
        self._places: dict[int, QLabel] = {}
        self._sliders = QFormLayout()
        layout = QVBoxLayout(self)
        layout.addLayout(self._head())
        layout.addWidget(self.canvas, 1)
        layout.addLayout(self._sliders)
        self._connect()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        pairs = {
            "&Show": self.show_box, "S&cale": self.scale_box, "Ac&ross": self.across_box,
            "&Up": self.up_box, "&Low": self.low_field, "Hi&gh": self.high_field,
        }  # fmt: skip
        for text, widget in pairs.items():
            label = QLabel(text)
            label.setBuddy(widget)
            row.addWidget(label)
            row.addWidget(widget)
        for widget in (self.low_field, self.high_field):
            widget.setClearButtonEnabled(False)
            widget.setFixedWidth(64)
        row.addStretch(1)
        row.addWidget(self.clear_button)
        return row

    def _connect(self) -> None:
        self.show_box.currentIndexChanged.connect(lambda i: self.change(show=SHOWS[i]))
        self.scale_box.currentIndexChanged.connect(lambda i: self.change(scale=SCALES[i]))
        for box in (self.across_box, self.up_box):
            box.currentIndexChanged.connect(lambda _: self._turn())
        for line in (self.low_field, self.high_field):
            line.editingFinished.connect(self._limit)

    def refresh(self) -> None:
        """Show the data that are looked at now; other data are first seen as `first_view` chooses."""
        if self.session.current != self._name:
            self._name = self.session.current
            if self._name is not None:
                show = self.view.show
                self.view = replace(first_view(self.session.entry.histogram), show=show)
                self._offer()
        self.draw()

    def change(self, **changes: Any) -> None:
        """Change the view, and draw."""
        self.view = replace(self.view, **changes)
        self.draw()

    def draw(self) -> None:
        """Draw the view."""
        if self._name is None:
            self.canvas.show_panels([], self.view, None)
            return
        shown, lines = panels(self.session, self.view), None
        if self.view.box is not None and self.view.up is not None:
            try:
                lines = cuts(shown, self.view.box)
            except Exp2SimError as error:
                self.told.emit(str(error))
        self.canvas.show_panels(shown, self.view, lines)
        self.clear_button.setEnabled(self.view.box is not None)

    def _offer(self) -> None:
        """Set all widgets to the view, with the axes of the data."""
        axes = volumes(self.session.entry.histogram)[0].axes
        names = [axis.label or axis.name for axis in axes]
        set_texts(self.across_box, names, self.view.across)
        set_texts(self.up_box, names, -1 if self.view.up is None else self.view.up)
        for box in (self.across_box, self.up_box):
            box.setEnabled(self.view.up is not None)
        blockers = [QSignalBlocker(widget) for widget in (self.scale_box, self.low_field, self.high_field)]
        self.scale_box.setCurrentIndex(SCALES.index(self.view.scale))
        self.low_field.clear()
        self.high_field.clear()
        for blocker in blockers:
            blocker.unblock()
        self._make_sliders()

    def _make_sliders(self) -> None:
        while self._sliders.rowCount():
            self._sliders.removeRow(0)
        histogram = self.session.entry.histogram
        axes, self.sliders = volumes(histogram)[0].axes, {}
        if is_mosaic(histogram):
            self._add_slider(-1, "Incident energy", len(INCIDENT_ENERGIES), self.view.volume)
        for i in sliders(histogram, self.view):
            self._add_slider(i, axes[i].label or axes[i].name, axes[i].size, self.view.bins[i])

    def _add_slider(self, position: int, name: str, count: int, value: int) -> None:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, count - 1)
        slider.setValue(value)
        named(slider, name, f"Move along {name}; the arrow keys go bin by bin")
        words = QLabel(self._place(position, value))
        words.setMinimumWidth(170)
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(slider, 1)
        layout.addWidget(words)
        slider.valueChanged.connect(lambda number: self._slide(position, number))
        label = QLabel(name)
        label.setBuddy(slider)
        self._sliders.addRow(label, row)
        self.sliders[position], self._places[position] = slider, words

    def _slide(self, position: int, number: int) -> None:
        if position < 0:
            self.change(volume=number)
        else:
            bins = [number if i == position else place for i, place in enumerate(self.view.bins)]
            self.change(bins=tuple(bins))
        for place, slider in self.sliders.items():
            self._places[place].setText(self._place(place, slider.value()))

    def _place(self, position: int, number: int) -> str:
        if position < 0:
            return f"{INCIDENT_ENERGIES[number]:g} meV"
        volume = volumes(self.session.entry.histogram)[self.view.volume]
        return place_words(volume.axes[position], number)

    def _turn(self) -> None:
        if self.view.up is not None:
            self.view = with_axes(self.view, self.across_box.currentIndex(), self.up_box.currentIndex())
            for box, place in ((self.across_box, self.view.across), (self.up_box, self.view.up)):
                blocker = QSignalBlocker(box)
                box.setCurrentIndex(-1 if place is None else place)
                blocker.unblock()
            self._make_sliders()
            self.draw()

    def _limit(self) -> None:
        try:
            ends = [read_numbers(line.text()) for line in (self.low_field, self.high_field)]
        except Exp2SimError as error:
            self.told.emit(str(error))
            return
        low, high = (None if end is None else end[0] for end in ends)
        if (low, high) != (self.view.low, self.view.high):
            self.change(low=low, high=high)
