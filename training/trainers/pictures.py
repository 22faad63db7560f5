"""Pictures of samples, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def panel_rows(rows: Mapping[str, tuple[Tensor, Tensor]], energies: Sequence[float]) -> Figure:
    """Draw a row for each title, of values and mask (Ei, h, k, E); columns are panels of three Ei.

    A column has one colour scale, below it; grey where nothing was measured.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    windows = next(iter(rows.values()))[0].shape[3]
    shown = sorted({windows // 5, windows // 2, (4 * windows) // 5})
    panels = [(e, w) for e in sorted({0, len(energies) // 2, len(energies) - 1}) for w in shown]
    figure = Figure(figsize=(1.2 * len(panels) + 1, 1.3 * len(rows) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(len(rows), len(panels), squeeze=False)
    for column, (e, w) in enumerate(panels):
        hidden = [
            values[e, :, :, w].masked_fill(mask[e, :, :, w], torch.nan) for values, mask in rows.values()
        ]
        top = float(torch.stack(hidden).nan_to_num().max()) or 1.0
        grid[0, column].set_title(f"Ei {energies[e]:g} meV\nenergy bin {w}", fontsize=7)
        for axes, panel in zip(grid[:, column], hidden, strict=True):
            image = axes.imshow(panel.numpy(), vmin=0, vmax=top, origin="lower", aspect="auto")
            axes.set(xticks=[], yticks=[], facecolor="0.72")
        axes.set_xlabel("k", fontsize=7)
        bar = figure.colorbar(image, ax=list(grid[:, column]), location="bottom", aspect=10)
        bar.ax.tick_params(labelsize=5)
        bar.set_label("intensity", fontsize=6)
    for axes, title in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(f"{title}\nh", fontsize=7)
    return figure
