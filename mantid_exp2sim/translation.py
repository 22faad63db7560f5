"""Histogram to Histogram through a generator: volumes, tiles, masks, errors, history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.tiles import Tile, cut
from mantid_exp2sim.volumes import Volumes, open_volumes

if TYPE_CHECKING:
    import torch

    from mantid_exp2sim.bundle import Model
    from mantid_exp2sim.card import Card

Progress = Callable[[int, int, str], None]
"""``progress(done, total, message)``; what it raises ends the run and reaches the caller."""

BATCH_BINS = 16_384
"""At most so many spatial bins go through a network at once."""
BATCH_WORK = 5e9
"""At most so many bins × parameters: small enough that a cancel is seen within a second on one core."""
MAX_REPLICAS = 10_000


def translate(
    model: Model,
    direction: Literal["deconvolve", "convolve"],
    histogram: Histogram,
    *,
    tile: int | None = None,
    errors: bool = True,
    replicas: int = 16,
    seed: int = 0,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
    progress: Progress | None = None,
) -> Histogram:
    """Translate a histogram; axes, mask, units and everything the file held stay as they are.

    A mosaic goes through the generator as its six (h, k, E) volumes, other data as one volume; nothing
    crosses a panel's border or an incident energy. What was not measured is NaN in the result and nothing
    else is, and no value under the mask has any influence.

    Parameters
    ----------
    model
        From :func:`mantid_exp2sim.load_model`.
    direction
        ``deconvolve`` (measurement-like to simulation-like) or ``convolve`` (back).
    histogram
        A mosaic, or data over h, k and energy transfer in any order (other axes with one bin), with
        ``metadata["incident_energy"]`` in meV.
    tile
        Bins of a tile along each axis the network slides over; None takes whole images where they are small.
        The result is the same for any value, to rounding (1e-5 of the largest intensity).
    errors
        Whether to propagate the variance. Without, it comes back as 0.
    replicas
        How many noise replicas the variance is estimated from (at least 2). The input is varied by Gaussian
        noise of its own variance, bin by bin independently, and the variance of the results is the output
        variance: its relative standard error is sqrt(2 / (replicas - 1)), and it counts **the input's
        counting errors alone, not how far the model may be wrong**. Correlations between output bins are not
        kept. An input without variance gives an output without.
    seed
        Seed of that noise (PCG64). The same seed, data and machine give the same bytes.
    scale
        The intensity is multiplied by this before the network and divided by it after, for data in other
        units than the model's; ``"auto"`` chooses it so that the mean over all measured bins is that of the
        training data.
    incident_energy
        meV, where the histogram's metadata has none.
    progress
        Called before each batch of tiles and at the end; an exception it raises (`Cancelled`,
        `KeyboardInterrupt`) ends the run, with nothing changed anywhere.

    Returns
    -------
    Histogram
        Intensity and variance in the units of the input; ``metadata["history"]`` says how to repeat it.

    Raises
    ------
    Exp2SimError
        If the model does not take such data, an option is out of range, torch is missing, or the network's
        result is not finite.

    Examples
    --------
    >>> from mantid_exp2sim.bundle import list_models, load_model
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> if "pcsmo-maps" in list_models():
    ...     sharp = translate(load_model("pcsmo-maps"), "deconvolve", mosaic_histogram(np.ones((240, 400))))
    """
    _check_options(replicas, seed)
    volumes = open_volumes(histogram, model.card, incident_energy=incident_energy)
    factor = intensity_factor(scale, volumes, model.card)
    noisy = errors and bool((volumes.variance > 0).any())
    runner = _Runner(model, direction, volumes, factor, tile, 1 + replicas * noisy, progress)
    with np.errstate(over="ignore", invalid="ignore"):
        intensity = runner.run(volumes.intensity)
        variance = np.zeros_like(intensity)
        if noisy:
            replicated = (runner.run(_replica(volumes, seed, number)) for number in range(replicas))
            variance = _spread(replicated, volumes.variance.any(axis=(1, 2, 3)))
    runner.report("done")
    measured = ~volumes.mask
    if not (np.isfinite(intensity[measured]).all() and np.isfinite(variance[measured]).all()):
        raise Exp2SimError(
            "The network's result is not finite.",
            why="The intensities are probably far outside what it was trained on.",
            way_out="Check the units of the data, or set `scale` (a factor, or 'auto').",
        )
    options = {"tile": tile, "errors": errors, "replicas": replicas, "scale": scale, "factor": factor}
    if incident_energy is not None:
        options["incident_energy"] = float(incident_energy)
    return histogram.replace(
        intensity=volumes.close(intensity),
        variance=volumes.close(variance),
        metadata=with_history(histogram, history_entry(model, direction, seed, options)),
    )


def intensity_factor(scale: float | str, volumes: Volumes, card: Card) -> float:
    """What the intensity is multiplied by before a network: ``scale``, or what ``"auto"`` stands for."""
    if scale == "auto":
        mean = float(volumes.intensity[~volumes.mask].mean())
        if card.mean_intensity is None or not mean > 0:
            raise Exp2SimError(
                "scale='auto' cannot be used here.",
                why="The mean intensity of the data is not positive, or the model's card has none.",
                way_out="Give the factor as a number.",
            )
        return card.mean_intensity / mean
    if isinstance(scale, str | bool) or not 0 < scale < float("inf"):
        raise Exp2SimError(f"scale is {scale!r}.", why="It takes a positive number or 'auto'.")
    return float(scale)


def history_entry(model: Model, command: str, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """What was done, in JSON: enough to repeat it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        software = version("mantid_exp2sim")
    except PackageNotFoundError:
        software = "unknown"
    return {
        "command": command,
        "model": model.card.name,
        "model_version": model.card.version,
        "checksum": model.checksum,
        "seed": seed,
        "options": options,
        "software": software,
    }


def with_history(histogram: Histogram, entry: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a histogram with one more step in its history."""
    history = histogram.metadata.get("history")
    steps = history if isinstance(history, list) else []
    return {**histogram.metadata, "history": [*steps, entry]}


def _check_options(replicas: int, seed: int) -> None:
    for name, value, low, high in (("replicas", replicas, 2, MAX_REPLICAS), ("seed", seed, 0, 2**63 - 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise Exp2SimError(f"{name} is {value!r}.", why=f"It takes a whole number from {low} to {high}.")


def _replica(volumes: Volumes, seed: int, number: int) -> Floats:
    """The intensity with noise of its variance; it depends on seed, number and incident energy alone."""
    sigma = np.sqrt(volumes.variance)
    noise: Floats = np.empty_like(sigma)
    for index, energy in enumerate(volumes.incident_energies):
        stream = np.random.SeedSequence([seed, number, round(float(energy) * 1e6)])
        noise[index] = np.random.Generator(np.random.PCG64(stream)).standard_normal(sigma.shape[1:])
    replica: Floats = volumes.intensity + sigma * noise
    return replica


def _spread(results: Any, noisy: Any) -> Floats:
    """Sample variance (Welford) over results (B, h, k, E); exactly 0 for volumes that had no noise."""
    count, mean, total = 0, np.zeros(()), np.zeros(())
    for result in results:
        count += 1
        step = result - mean
        mean = mean + step / count
        total = total + step * (result - mean)
    return np.where(noisy[:, None, None, None], total / max(count - 1, 1), 0.0)


@dataclass(slots=True)
class _Runner:
    """One generator over the volumes of one histogram, as often as there are replicas."""

    model: Model
    direction: Literal["deconvolve", "convolve"]
    volumes: Volumes
    factor: float
    tile: int | None
    passes: int
    progress: Progress | None
    done: int = 0
    total: int = 0
    tiles: list[Tile] = field(default_factory=list)

    def run(self, intensity: Floats) -> Floats:
        """Intensity (B, h, k, E) in the data's units through the network, in the data's units."""
        card, network = self.model.card, self.model.network(self.direction)
        import torch  # after the network, which says so if torch is missing

        scaled = card.scaling.forward(intensity * self.factor)
        x = torch.from_numpy(np.where(self.volumes.mask, 0.0, scaled).astype(np.float32))
        mask = torch.from_numpy(self.volumes.mask.astype(np.float32))
        energies = torch.from_numpy(self.volumes.incident_energies)
        with torch.inference_mode():
            stacked = card.layout.stack(x, mask, energies)
            self._plan(stacked, network)
            result = card.layout.unstack(self._through(network, stacked), x.shape).numpy()
        values: Floats = card.scaling.inverse(result) / self.factor
        return values

    def report(self, message: str) -> None:
        """Tell how far it is; here a run is cancelled."""
        if self.progress is not None:
            self.progress(self.done, self.total, message)

    def _plan(self, stacked: torch.Tensor, network: torch.nn.Module) -> None:
        if not self.tiles:
            self.tiles = cut(stacked.shape[2:], tile=self.tile, reach=reach(network))
            self.total = len(self.tiles) * stacked.shape[0] * self.passes

    def _through(self, network: torch.nn.Module, stacked: torch.Tensor) -> torch.Tensor:
        """(B', in, *spatial) to (B', out, *spatial), float64, tile by tile and batch by batch."""
        import torch

        channels = self.model.card.layout.out_channels
        result = torch.zeros(stacked.shape[0], channels, *stacked.shape[2:], dtype=torch.float64)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        for tile in self.tiles:
            weight = torch.from_numpy(tile.weight)
            for batch in _batches(stacked.shape[0], tile.shape, parameters):
                self.report(f"{self.direction}: tile {self.done + 1} of {self.total}")
                part = network(stacked[(batch, slice(None), *tile.region)].contiguous())
                result[(batch, slice(None), *tile.region)] += weight * part
                self.done += batch.stop - batch.start
        return result


def reach(network: torch.nn.Module) -> tuple[int, ...] | None:
    """How many bins away an input bin still changes an output bin, per axis; None = any distance."""
    width: tuple[int, ...] | None = network.receptive_field()  # type: ignore[operator]
    return None if width is None else tuple(bins // 2 for bins in width)


def _batches(samples: int, shape: Sequence[int], parameters: int) -> list[slice]:
    bins = min(BATCH_BINS, BATCH_WORK / max(1, parameters))
    size = max(1, int(bins) // max(1, int(np.prod(shape))))
    return [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
