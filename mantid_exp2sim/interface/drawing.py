"""The figure of the window, without Qt: pictures side by side on linked axes, and cuts below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.interface.views import Colours, Panel, View
from mantid_exp2sim.plotting.style import MASKED, axis_label, intensity_label

QUANTILES = (0.005, 0.995)
"""Of the intensities: the ends of the colour scale that the data choose."""
MAPS: dict[Colours, str] = {"intensity": "viridis", "signed": "RdBu_r", "ratio": "RdBu_r"}
_SIZES = {"font.size": 9, "axes.titlesize": 10, "legend.fontsize": 8}
BAR_LABELS: dict[Colours, str] = {"signed": "difference", "ratio": "ratio"}


class Drawing:
    """Draw panels into a figure; what stays as it was is kept, so that a slider moves at once.

    ``background`` and ``foreground`` are the colours of the window's theme.

    >>> from mantid_exp2sim.histogram import Axis
    >>> axes = [Axis("[H,0,0]", np.arange(3.0)), Axis("DeltaE", np.arange(3.0))]
    >>> drawing = Drawing(Figure())
    >>> drawing.show([Panel("before", Histogram.from_arrays(np.ones((2, 2)), axes))], View(up=1))
    >>> [axes.get_title() for axes in drawing.maps]
    ['before']
    """

    def __init__(self, figure: Figure, background: str = "white", foreground: str = "black") -> None:
        self.figure, self.background, self.foreground = figure, background, foreground
        self.maps: list[Axes] = []
        self.lines: list[Axes] = []
        self._meshes: list[Any] = []
        self._built: object = None

    def show(
        self,
        shown: Sequence[Panel],
        view: View,
        cuts: tuple[Mapping[str, Histogram], Mapping[str, Histogram]] | None = None,
    ) -> None:
        """Draw panels, and cuts through them below; the canvas is to be drawn afterwards."""
        layout = _layout(shown, view, cuts)
        flat = bool(shown) and shown[0].data.ndim == 1
        if layout != self._built or flat:
            self._build(shown, view, with_cuts=cuts is not None)
            self._built = layout
        if not flat:
            self._fill(shown, view)
        if cuts is not None:
            with self._colours():
                for axes, lines in zip(self.lines, cuts, strict=True):
                    axes.clear()
                    _draw_lines(axes, lines)

    @property
    def is_map(self) -> bool:
        """Say whether there are pictures, not a line."""
        return bool(self._meshes)

    def renew_layout(self) -> None:
        """Let the next drawing place the pictures anew."""
        self.figure.set_layout_engine("compressed")

    def keep_layout(self) -> None:
        """Let drawings to come leave the pictures where they are."""
        self.figure.set_layout_engine("none")

    def _colours(self) -> Any:
        names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        settings: Any = dict.fromkeys(names, self.foreground)
        return rc_context(settings | {"axes.facecolor": self.background, **_SIZES})

    def _build(self, shown: Sequence[Panel], view: View, *, with_cuts: bool) -> None:
        self.figure.clear()
        self.figure.set_facecolor(self.background)
        self.renew_layout()
        self.maps, self.lines, self._meshes = [], [], []
        if not shown:
            return
        with self._colours():
            if shown[0].data.ndim == 1:
                axes = self.figure.subplots()
                self.maps = [axes]
                _draw_lines(axes, {panel.title: panel.data for panel in shown})
                return
            rows = self.figure.add_gridspec(2, 1, height_ratios=(3, 2)) if with_cuts else None
            top = self.figure.add_gridspec(1, 1)[0] if rows is None else rows[0]
            grid = top.subgridspec(1, len(shown))
            row: Any = grid.subplots(squeeze=False, sharex=True, sharey=True)
            self.maps = list(row[0])
            for axes, panel in zip(self.maps, shown, strict=True):
                self._meshes.append(_mesh(axes, panel))
            self.maps[0].set_ylabel(axis_label(shown[0].data.axes[1]))
            _add_bars(self.figure, self.maps, shown, self._meshes)
            if rows is not None:
                pair: Any = rows[1].subgridspec(1, 2).subplots()
                self.lines = list(pair)

    def _fill(self, shown: Sequence[Panel], view: View) -> None:
        norms = norms_of(shown, view)
        for mesh, axes, panel in zip(self._meshes, self.maps, shown, strict=True):
            mesh.set_array(np.ma.masked_invalid(panel.data.intensity.T))
            mesh.set_norm(norms[panel.colours])
            axes.set_title(panel.title, color=self.foreground, fontsize=10)
            axes.format_coord = _reader(panel.data)  # type: ignore[method-assign]


def norms_of(shown: Sequence[Panel], view: View) -> dict[Colours, Normalize]:
    """Return one colour scale for all intensities, and one for what is as good below 0 as above.

    The limits of the view are those of the intensities. A logarithm begins at a 1/1000 of its end where the
    low limit is not above 0.
    """
    norms: dict[Colours, Normalize] = {"ratio": Normalize(0.0, 2.0)}
    signed = _values(shown, "signed")
    size = float(np.quantile(np.abs(signed), QUANTILES[1])) if signed.size else 0.0
    norms["signed"] = Normalize(-size, size) if size > 0 else Normalize(-1.0, 1.0)
    norms["intensity"] = _intensity_norm(_values(shown, "intensity"), view)
    return norms


def _intensity_norm(values: Floats, view: View) -> Normalize:
    low, high = (float(end) for end in np.quantile(values, QUANTILES)) if values.size else (0.0, 1.0)
    low = min(0.0, low) if view.low is None else view.low
    high = high if view.high is None else view.high
    high = high if high > low else low + 1.0
    if view.scale == "logarithm" and high > 0:
        return LogNorm(low if low > 0 else high / 1000, high, clip=True)
    if view.scale == "square root":
        low = max(low, 0.0)
        return PowerNorm(0.5, low, max(high, low + 1e-12), clip=True)
    return Normalize(low, high)


def _values(shown: Sequence[Panel], colours: Colours) -> Floats:
    parts = [panel.data.intensity[~panel.data.mask] for panel in shown if panel.colours == colours]
    return np.concatenate(parts) if parts else np.empty(0)


def _layout(shown: Sequence[Panel], view: View, cuts: object) -> object:
    """What has to be the same for the pictures to be filled anew alone."""
    kinds = tuple((panel.title, panel.data.shape, panel.colours) for panel in shown)
    edges = tuple(axis.edges.tobytes() for axis in shown[0].data.axes) if shown else ()
    return kinds, edges, view.scale, cuts is not None


def _mesh(axes: Axes, panel: Panel) -> Any:
    across, up = panel.data.axes
    colours = colormaps[MAPS[panel.colours]].with_extremes(bad=MASKED)
    mesh = axes.pcolormesh(across.edges, up.edges, np.zeros((up.size, across.size)), cmap=colours)
    mesh.set_rasterized(True)
    axes.set_xlabel(axis_label(across))
    axes.locator_params(nbins=4)
    if across.unit == up.unit and {across.kind, up.kind} <= {"h", "k", "l"}:
        axes.set_aspect("equal")
    return mesh


def _add_bars(figure: Figure, maps: Sequence[Axes], shown: Sequence[Panel], meshes: Sequence[Any]) -> None:
    """Add one colour bar to each kind of colours, beside the last of its panels."""
    for colours in dict.fromkeys(panel.colours for panel in shown):
        places = [i for i, panel in enumerate(shown) if panel.colours == colours]
        image: ScalarMappable = meshes[places[-1]]
        shrink = 1.0 if maps[0].get_aspect() == "auto" else 0.6
        bar = figure.colorbar(image, ax=[maps[i] for i in places], pad=0.02, aspect=25, shrink=shrink)
        label = intensity_label({"": shown[places[0]].data})
        bar.set_label(label if colours == "intensity" else BAR_LABELS[colours])


def _draw_lines(axes: Axes, lines: Mapping[str, Histogram]) -> None:
    for name, line in lines.items():
        errors = np.sqrt(np.where(line.variance > 0, line.variance, np.nan))
        bars = errors if np.isfinite(errors).any() else None
        axes.errorbar(
            line.axes[0].centres, line.intensity, bars,
            label=name, fmt="o-", markersize=3, linewidth=1, capsize=2,
        )  # fmt: skip
    if lines:
        first = next(iter(lines.values()))
        ranges = list(first.metadata.get("integrated", []))[-1:]
        title = ", ".join(f"{r['axis']} from {r['range'][0]:.4g} to {r['range'][1]:.4g}" for r in ranges)
        axes.set(xlabel=axis_label(first.axes[0]), ylabel=intensity_label(lines), title=title)
        axes.legend(frameon=False)


def _reader(data: Histogram) -> Any:
    """Return what a toolbar says of a place: the bin's intensity."""

    def read(x: float, y: float) -> str:
        places = [
            int(np.searchsorted(axis.edges, v, "right")) - 1
            for axis, v in zip(data.axes, (x, y), strict=True)
        ]
        inside = all(0 <= i < axis.size for i, axis in zip(places, data.axes, strict=True))
        value = f"{data.intensity[tuple(places)]:.4g}" if inside else ""
        return f"x {x:.4g}, y {y:.4g}: {'not measured' if value == 'nan' else value}"

    return read
