"""Where a measurement lies among the spectra of a model's domain."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mantid_exp2sim.domain.check import DomainReport
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.plotting.style import PathLike, finish, new_figure


def draw_domain(
    report: DomainReport, inside: Floats | None, path: PathLike | None = None, *, title: str = ""
) -> Figure:
    """Draw the score of a measurement with those of the domain's own spectra (n,) and the limit.

    The further to the right, the stranger; beyond the limit the data are untrustworthy. A score beyond the
    picture is an arrow at its edge.

    >>> report = DomainReport(0.4, 1.25, "trustworthy", score=1.0, limit=4.0)
    >>> axes = draw_domain(report, np.linspace(0, 2, 50)).axes[0]
    >>> [text.get_text() for text in axes.texts]
    ['limit 4', 'these data 1']
    """
    figure = new_figure(6.4, 3.2)
    axes = figure.add_subplot()
    axes.set_title(title or report.words(), fontsize=11)
    if inside is None or report.score is None or report.limit is None:
        axes.text(
            0.5, 0.5, "the model keeps no reference", ha="center", va="center", transform=axes.transAxes
        )
        axes.set(xticks=[], yticks=[])
        return finish(figure, path)
    end = 1.12 * min(max(report.score, report.limit, float(inside.max())), 4 * report.limit)
    heights = axes.hist(
        np.clip(inside, 0, end), bins=np.linspace(0, end, 41).tolist(), color="0.7",
        label=f"{inside.size} spectra of the domain",
    )[0]  # fmt: skip
    top = float(np.max(heights))
    axes.axvspan(report.limit, end, color="C3", alpha=0.1, linewidth=0)
    _marked(axes, report.limit, "limit", "C3", 1.18 * top, end)
    _marked(axes, report.score, "these data", "C0", 1.38 * top, end)
    axes.set(
        xlim=(0, end), ylim=(0, 1.5 * top), ylabel="spectra", xlabel="score (0: in the middle of the domain)"
    )
    axes.legend(loc="center right", fontsize=8, frameon=False)
    return finish(figure, path)


def _marked(axes: Axes, value: float, name: str, colour: str, height: float, end: float) -> None:
    """Mark a value by a line and a word, on the side where there is room."""
    at, right = min(value, 0.995 * end), value > 0.6 * end
    axes.axvline(at, color=colour, linewidth=2, linestyle="--" if name == "limit" else "-")
    words = f"{name} {value:.3g}" + (" →" if value > end else "")
    offset = -6 if right else 6
    axes.annotate(
        words, (at, height), (offset, 0), textcoords="offset points", color=colour,
        ha="right" if right else "left", va="center", fontsize=10,
    )  # fmt: skip
