"""Pictures of validation samples during a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mantid_exp2sim.storage.atomic import atomic_path


def draw_rows(path: Path, rows: Mapping[str, tuple[Tensor, Tensor]], energies: Tensor) -> None:
    """Draw a PNG: one row per title, values and mask (Ei, h, k, E); columns are windows of three Ei."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    windows = next(iter(rows.values()))[0].shape[3]
    shown = sorted({windows // 5, windows // 2, (4 * windows) // 5})
    panels = [(e, w) for e in sorted({0, len(energies) // 2, len(energies) - 1}) for w in shown]
    figure = Figure(figsize=(1.2 * len(panels) + 1, 1.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(len(rows), len(panels), squeeze=False)
    for column, (e, w) in enumerate(panels):
        top = float(torch.stack([values[e, :, :, w] for values, _ in rows.values()]).max()) or 1.0
        axes[0, column].set_title(f"{float(energies[e]):g} meV, {w}", fontsize=7)
        for row, (values, mask) in enumerate(rows.values()):
            panel = values[e, :, :, w].masked_fill(mask[e, :, :, w], float("nan"))
            axis = axes[row, column]
            axis.imshow(panel.numpy(), vmin=0, vmax=top, origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
    for row, title in enumerate(rows):
        axes[row, 0].set_ylabel(title, fontsize=7)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
