"""The picture of the window as a file, without Qt."""

from __future__ import annotations

from pathlib import Path

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.drawing import Drawing
from mantid_exp2sim.interface.session import Session
from mantid_exp2sim.interface.views import View, cuts, panels
from mantid_exp2sim.plotting.style import finish, new_figure


def save_picture(session: Session, view: View, path: Path) -> None:
    """Write the pictures that a view shows, black on white.

    Raises
    ------
    Exp2SimError
        If there are no data, the file is one of the inputs, or it cannot be written.
    """
    session.refuse_input(path)
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise Exp2SimError(f"{path} is no name of a picture.", fix="Let it end in .png, .pdf or .svg.")
    shown = panels(session, view)
    lines = None if view.box is None else cuts(shown, view.box)
    figure = new_figure(max(6.0, 1.5 + 3.4 * len(shown)), 4.2 if lines is None else 7.0)
    Drawing(figure).show(shown, view, lines)
    finish(figure, path)
