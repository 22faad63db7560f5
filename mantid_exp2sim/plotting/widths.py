"""The width of a spectrometer in energy against the energy transfer."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mantid_exp2sim.plotting.style import PathLike, finish, new_figure
from mantid_exp2sim.simulation.widths import Resolution


def draw_widths(widths: Resolution, path: PathLike | None = None) -> Figure:
    """Draw the full width at half maximum in energy, with a marker at each energy transfer."""
    figure = new_figure(5.6, 4.0)
    axes = figure.add_subplot()
    order = np.argsort(widths.energy)
    axes.plot(widths.energy[order], widths.fwhm_energy[order], marker="o")
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("Energy transfer (meV)")
    axes.set_ylabel("FWHM in energy (meV)")
    axes.set_title(
        f"{widths.instrument}, Ei {widths.incident_energy:g} meV, {widths.frequency:g} Hz", fontsize=11
    )
    return finish(figure, path)
