"""The posterior of a fit: every constant, and every pair of them."""

from __future__ import annotations

from matplotlib.figure import Figure

from mantid_exp2sim.fitting.result import ModelFit
from mantid_exp2sim.plotting.style import PathLike, finish, new_figure


def draw_corner(model: ModelFit, path: PathLike | None = None) -> Figure:
    """Draw the draws of a model's parameters pair by pair, the larger the weightier, and their histograms.

    Lines mark the mean and the 68 % interval, crosses the modes; the title names exchanged constants.
    """
    posterior, names = model.posterior, model.names
    mean, interval, count = posterior.mean(), posterior.interval(0.6827), len(names)
    figure = new_figure(1.7 * count + 1, 1.7 * count + 0.6)
    grid = figure.subplots(count, count, squeeze=False)
    sizes = 40 * posterior.weights / posterior.weights.max()
    for row in range(count):
        for column in range(count):
            axes = grid[row, column]
            if column > row:
                axes.set_visible(False)
                continue
            if column == row:
                axes.hist(posterior.samples[:, row], bins=20, weights=posterior.weights, color="C0")
                axes.set_yticks([])
            else:
                axes.scatter(
                    posterior.samples[:, column], posterior.samples[:, row], sizes, color="C0", alpha=0.5
                )
                axes.axhline(mean[row], color="C1", linewidth=0.8)
                for values, _ in model.modes:
                    axes.plot(values[names[column]], values[names[row]], "x", color="C3", markersize=5)
            axes.axvline(mean[column], color="C1", linewidth=0.8)
            for end in interval[column]:
                axes.axvline(end, color="C1", linewidth=0.6, linestyle=":")
            axes.tick_params(labelsize=6)
            if row == count - 1:
                axes.set_xlabel(names[column], fontsize=8)
            if column == 0 and row:
                axes.set_ylabel(names[row], fontsize=8)
    exchanged = f"; as well with {', '.join(model.permutations)} exchanged" if model.permutations else ""
    figure.suptitle(f"{model.name}: reduced χ² {model.chi2_reduced:.3f}{exchanged}", fontsize=10)
    return finish(figure, path)
