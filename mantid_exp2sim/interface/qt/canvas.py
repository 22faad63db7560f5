"""The pictures in the window: a matplotlib canvas in the colours of the theme, with a box to drag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

# After qtpy: matplotlib takes the same Qt.
from matplotlib.backends.backend_qt import NavigationToolbar2QT  # isort: skip
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg  # isort: skip
from matplotlib.figure import Figure
from matplotlib.widgets import RectangleSelector

from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.interface.drawing import Drawing
from mantid_exp2sim.interface.qt.widgets import named
from mantid_exp2sim.interface.views import Box, Panel, View


class Canvas(QWidget):
    """Show panels and cuts; ``boxed(box)`` says which range was dragged over a picture."""

    boxed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        palette = self.palette()
        colours = [
            palette.color(role).name() for role in (QPalette.ColorRole.Window, QPalette.ColorRole.WindowText)
        ]
        self.drawing = Drawing(Figure(), *colours)
        self.canvas = FigureCanvasQTAgg(self.drawing.figure)
        named(self.canvas, "Pictures", "Drag a box over a picture for cuts along both axes")
        self.canvas.setMinimumSize(420, 260)
        # The layout takes most of the time of a drawing, and is the same until something new is drawn.
        self.canvas.mpl_connect("draw_event", lambda _: self.drawing.keep_layout())
        self.canvas.mpl_connect("resize_event", lambda _: self.drawing.renew_layout())
        self.toolbar = NavigationToolbar2QT(self.canvas, self)
        named(self.toolbar, "Zoom, move and coordinates")
        self._selectors: list[RectangleSelector] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.toolbar)
        layout.addWidget(self.canvas, 1)

    def show_panels(
        self,
        shown: Sequence[Panel],
        view: View,
        cuts: tuple[Mapping[str, Histogram], Mapping[str, Histogram]] | None,
    ) -> None:
        """Draw panels and cuts, soon."""
        maps = self.drawing.maps
        self.drawing.show(shown, view, cuts)
        if self.drawing.maps is not maps:
            self._follow()
        self._mark(view)
        self.canvas.draw_idle()

    def _follow(self) -> None:
        """Let a box be dragged over each of the pictures."""
        for selector in self._selectors:
            selector.disconnect_events()
        self._selectors = [
            RectangleSelector(
                axes,
                self._select,
                useblit=False,
                button=1,  # type: ignore[arg-type]
                minspanx=4,
                minspany=4,
                spancoords="pixels",
                interactive=True,
                handle_props={"markersize": 4, "markeredgecolor": "tab:red"},
                props={"facecolor": "none", "edgecolor": "tab:red", "linewidth": 1.5, "fill": False},
            )
            for axes in (self.drawing.maps if self.drawing.is_map else [])
        ]
        self.toolbar.update()

    def _mark(self, view: View) -> None:
        """Show the box of the view on every picture."""
        for selector in self._selectors:
            if view.box is None:
                selector.set_visible(False)
            else:
                selector.extents = view.box
                selector.set_visible(True)

    def _select(self, press: Any, release: Any) -> None:
        x0, y0, x1, y1 = press.xdata, press.ydata, release.xdata, release.ydata
        if None not in (x0, y0, x1, y1):
            box: Box = (min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1))
            self.boxed.emit(box)
