"""Histogram to Histogram through a generator: volumes, blocks, masks, errors, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Histogram
from mantid_exp2sim.inference.noise_replicas import noise_key, standard_normal_pair
from mantid_exp2sim.inference.sliding_window import Block, blocks, samples_at_once
from mantid_exp2sim.inference.volumes import Volumes, open_volumes
from mantid_exp2sim.inference.worker import short_waits
from mantid_exp2sim.model.error_model import NORMAL_95, ErrorModel, Translated
from mantid_exp2sim.networks.layout import AXES

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Model
    from mantid_exp2sim.model.card import Card
    from mantid_exp2sim.networks.generator import Generator

Direction = Literal["deconvolve", "convolve"]
Progress = Callable[[int, int, str], None]
"""``progress(done, total, message)``; what it raises ends the run and reaches the caller."""

MAX_REPLICAS = 10_000


def translate(
    model: Model,
    direction: Direction,
    histogram: Histogram,
    *,
    tile: int | None = None,
    errors: bool = True,
    replicas: int = 16,
    seed: int = 0,
    scale: float | str = 1.0,
    incident_energy: float | None = None,
    parts: bool = False,
    progress: Progress | None = None,
) -> Translated:
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
        Whether to give a variance: that of the input, propagated, plus that of the model where it is known
        (:class:`mantid_exp2sim.model.error_model.ErrorModel` on its card, or several members). Its square
        root is half of the 68 % interval. Without, it comes back as 0.
    replicas
        How many noise replicas the input's part is estimated from (at least 2). The input is varied by
        Gaussian noise of its own variance, bin by bin independently, and the variance of the results is
        taken: its relative standard error is sqrt(2 / (replicas - 1)). Correlations between output bins are
        not kept. An input without variance adds nothing.
    seed
        Seed of that noise (SplitMix64). The same seed, data and machine give the same bytes.
    scale
        The intensity is multiplied by this before the network and divided by it after, for data in other
        units than the model's; ``"auto"`` chooses it so that the mean over all measured bins is that of the
        training data.
    incident_energy
        meV, in place of what the histogram's metadata say, also in those of the result; not for mosaics.
    progress
        Called at the start with how much there is to do, after each layer of each block and at the end. It
        counts in layers, so it moves within a block too. An exception it raises
        (`Cancelled`, `KeyboardInterrupt`) ends the run, with nothing changed anywhere.

    parts
        Also give the parts of the variance and the 95 % interval; needs ``errors``.

    Returns
    -------
    Translated
        Its ``histogram`` has the units of the input; ``metadata["history"]`` says how to repeat it.

    Raises
    ------
    Exp2SimError
        If the model does not take such data, an option is out of range, torch is missing, or the network's
        result is not finite.

    Examples
    --------
    >>> from mantid_exp2sim.model.bundle import list_models, load_model
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> if "pcsmo-maps" in list_models():
    ...     picture = mosaic_histogram(np.ones((240, 400)))
    ...     sharp = translate(load_model("pcsmo-maps"), "deconvolve", picture).histogram
    """
    _check_options(replicas, seed)
    volumes = open_volumes(histogram, model.card, incident_energy=incident_energy)
    factor = intensity_factor(scale, volumes, model.card)
    noisy = errors and bool(np.fmax.reduce(volumes.variances, axis=None) > 0)
    runner = _Runner(
        model, direction, volumes, factor, tile=tile, errors=errors,
        calibration=model.card.errors.get(direction), replicas=replicas * noisy, seed=seed,
        progress=progress,
    )  # fmt: skip
    names = ("intensity", "variance", *(("input", "model", "half_95") if parts else ()))
    outputs = {name: _Output(histogram.shape, volumes) for name in names}
    runner.run(outputs, parts=parts)
    arrays = {name: output.finish(histogram.mask) for name, output in outputs.items()}
    options = {"tile": tile, "errors": errors, "replicas": replicas, "scale": scale, "factor": factor}
    if incident_energy is not None:
        options["incident_energy"] = float(incident_energy)
    entry = history_entry(model, direction, seed, options)
    if errors:
        entry["errors"] = runner.about_errors()
    metadata = with_history(histogram, entry)
    if incident_energy is not None:
        metadata["incident_energy"] = float(incident_energy)
    result = histogram.replace(
        intensity=arrays.pop("intensity"), variance=arrays.pop("variance"), metadata=metadata
    )
    return Translated(
        result,
        arrays.get("input"),
        arrays.get("model"),
        arrays.get("half_95"),
        model_known=runner.calibration is not None or runner.members > 1,
        calibrated=runner.calibration is not None,
    )


def translate_volumes(
    model: Model, direction: Direction, volumes: Volumes, *, replicas: int = 16, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Result, variance propagated from the input, and variance between the members, without calibration.

    ``volumes`` in the units of the training data. All three (B, h, k, E), NaN where not measured; the last
    is 0 for a single member. This is what a calibration is fitted to.
    """
    noisy = bool(np.fmax.reduce(volumes.variances, axis=None) > 0)
    runner = _Runner(
        model, direction, volumes, 1.0, tile=None, errors=True, calibration=None,
        replicas=replicas * noisy, seed=seed, progress=None,
    )  # fmt: skip
    outputs = {name: _Output(volumes.values.shape, volumes) for name in ("intensity", "input", "model")}
    runner.run(outputs, parts=True)
    result, given, spread = (output.finish(volumes.mask) for output in outputs.values())
    return result, given, spread


def intensity_factor(scale: float | str, volumes: Volumes, card: Card) -> float:
    """What the intensity is multiplied by before a network: ``scale``, or what ``"auto"`` stands for."""
    if scale == "auto":
        mean = float(np.mean(volumes.values, where=~volumes.mask))
        if card.mean_intensity is None or not mean > 0:
            raise Exp2SimError(
                "scale='auto' cannot be used here.",
                reason="The mean intensity of the data is not positive, or the model's card has none.",
                fix="Give the factor as a number.",
            )
        return card.mean_intensity / mean
    if isinstance(scale, str | bool) or not 0 < scale < float("inf"):
        raise Exp2SimError(f"scale is {scale!r}.", reason="It takes a positive number or 'auto'.")
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
            raise Exp2SimError(
                f"{name} is {value!r}.", reason=f"It takes a whole number from {low} to {high}."
            )


class _Output:
    """One array of the result: written block by block, in the shape and order of the histogram."""

    def __init__(self, shape: tuple[int, ...], volumes: Volumes) -> None:
        self.array: Floats = np.zeros(shape)
        self.view = volumes.open(self.array)
        self.close = volumes.close

    def finish(self, mask: Booleans) -> Floats:
        """Read-only, NaN where not measured."""
        if not np.may_share_memory(self.view, self.array):
            self.array = np.array(self.close(self.view))
        self.array[mask] = np.nan
        self.array.flags.writeable = False
        return self.array


@dataclass(slots=True)
class _Runner:
    """The members of one generator over the volumes of one histogram, block by block.

    All that is needed of a block, its replicas too, is computed before the next one: nothing but the outputs
    has the size of the data.
    """

    model: Model
    direction: Direction
    volumes: Volumes
    factor: float
    tile: int | None = field(kw_only=True)
    errors: bool = field(kw_only=True)
    calibration: ErrorModel | None = field(kw_only=True)
    replicas: int = field(kw_only=True)
    seed: int = field(kw_only=True)
    progress: Progress | None = field(kw_only=True)
    networks: list[Generator] = field(init=False)
    at_once: int = field(init=False)
    rows: list[int] = field(init=False)
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.networks = [network.prepare() for network in self.model.members(self.direction)]  # type: ignore[operator]
        known = np.asarray(self.model.card.incident_energies)
        self.rows = [int(np.argmin(np.abs(known - energy))) for energy in self.volumes.incident_energies]

    @property
    def members(self) -> int:
        """How many networks the result is the mean of."""
        return len(self.networks)

    def about_errors(self) -> dict[str, Any]:
        """What the variance of the result holds, in JSON."""
        spread = f"spread of {self.members} members, not calibrated" if self.members > 1 else "not known"
        return {
            "input": "propagated" if self.replicas else "none in the data",
            "model": "calibrated" if self.calibration is not None else spread,
            "members": self.members,
        }

    def run(self, outputs: dict[str, _Output], *, parts: bool) -> None:
        """Fill the outputs."""
        import torch

        layout, shape = self.model.card.layout, self.volumes.values.shape
        parameters = sum(parameter.numel() for parameter in self.networks[0].parameters())
        cut = blocks(shape, layout, tile=self.tile, reach=reach(self.networks[0]), parameters=parameters)
        self.total = sum(self._samples(block) for block in cut) * self.members * (1 + self.replicas)
        where = "whole" if len(cut) == 1 else f"in {len(cut)} blocks"
        self.report(f"{self.direction} {where}: {self.total} passes of a network")
        with short_waits(), torch.inference_mode(), np.errstate(over="ignore", invalid="ignore"):
            for block in cut:
                self.at_once = samples_at_once(_bins(block) // self._samples(block), parameters)
                made = self._block(block, parts=parts)
                for name, output in outputs.items():
                    output.view[_core(block)] = made.get(name, 0.0)
        self.report("done")

    def report(self, message: str, within: int = 0) -> None:
        """Tell how far it is, ``within`` layers beyond the samples done; here a run is cancelled."""
        if self.progress is not None:
            steps = self.networks[0].steps
            self.progress(self.done * steps + within, self.total * steps, message)

    def _message(self) -> str:
        return f"{self.direction}: {self.done + 1} of {self.total}"

    def _ticker(self, samples: int) -> Callable[[], None]:
        """What a network calls after each layer that so many samples have gone through."""
        within = count(samples, samples)
        return lambda: self.report(self._message(), next(within))

    def _samples(self, block: Block) -> int:
        """How many samples of the network a block holds."""
        layout = self.model.card.layout
        sizes = dict(zip(("batch", *AXES), (span.stop - span.start for span in block), strict=True))
        return prod(sizes[name] for name in ("batch", *layout.folded))

    def _block(self, block: Block, *, parts: bool) -> dict[str, Floats]:
        """What the outputs hold in the core of a block, in the data's units; nothing where all is masked."""
        measured = ~self.volumes.mask[_core(block)]
        if not measured.any():
            self.done += self._samples(block) * self.members * (1 + self.replicas)
            return {}
        values = np.where(self.volumes.mask[_seen(block)], 0.0, self.volumes.values[_seen(block)])
        each = self._through(values[None], block)[:, 0]
        made: dict[str, Floats] = {"intensity": each.mean(0)}
        if self.errors:
            given = np.zeros_like(made["intensity"])
            if self.replicas:
                given = self._input_variance(values, made["intensity"], block)
            sigma, tau = self._own_error(each, made["intensity"], block)
            narrow, wide = self._counted(made["intensity"])
            made["variance"] = narrow * given + sigma**2
            if parts:
                made["input"], made["model"] = narrow * given, sigma**2
                made["half_95"] = np.sqrt(wide * given + tau**2)
        if not all(np.isfinite(array[measured]).all() for array in made.values()):
            raise Exp2SimError(
                "The network's result is not finite.",
                reason="The intensities are probably far outside what it was trained on.",
                fix="Check the units of the data, or set `scale` (a factor, or 'auto').",
            )
        return made

    def _through(self, batch: npt.NDArray[Any], block: Block) -> Floats:
        """Replicas of a block (R, b, h, k, E) through every member: (members, R, *core), float64."""
        import torch

        card, mask = self.model.card, self.volumes.mask[_seen(block)]
        scaled = np.where(mask, 0.0, card.scaling.forward(batch * self.factor)).astype(np.float32)
        x = torch.from_numpy(scaled).flatten(0, 1)
        copies = len(batch)
        masks = torch.from_numpy(mask.astype(np.float32)).repeat(copies, 1, 1, 1)
        energies = torch.from_numpy(self.volumes.incident_energies[block[0].seen]).repeat(copies)
        stacked = card.layout.stack(x, masks, energies)
        results = []
        for network in self.networks:
            made = network.infer(stacked, self._ticker(self._samples(block) * copies))
            volumes = card.layout.unstack(made, x.shape).reshape(scaled.shape)
            core = volumes[(slice(None), *(span.inner for span in block))].numpy().astype(np.float64)
            results.append(card.scaling.inverse(core) / self.factor)
            self.done += self._samples(block) * copies
        return np.stack(results)

    def _input_variance(self, values: Floats, plain: Floats, block: Block) -> Floats:
        """Sample variance (Welford) of the results of noisy replicas; exactly 0 for volumes without noise."""
        sigma = np.sqrt(np.nan_to_num(self.volumes.variances[_seen(block)])).astype(np.float32)
        noisy = sigma.any(axis=(1, 2, 3), keepdims=True)
        total = np.zeros_like(plain)
        if not noisy.any():
            self.done += self._samples(block) * self.members * self.replicas
            return total
        noise, mean, count = self._noise(block), np.zeros_like(plain), 0
        while fields := list(islice(noise, max(1, self.at_once // self._samples(block)))):
            replicas = values.astype(np.float32) + sigma * np.stack(fields)
            for result in self._through(replicas, block).mean(0):
                count += 1
                step = result - plain - mean
                mean += step / count
                total += step * (result - plain - mean)
        return np.where(noisy, total / (count - 1), 0.0)

    def _noise(self, block: Block) -> Iterator[npt.NDArray[np.float32]]:
        """A field (b, h, k, E) per replica; it depends on seed, replica, incident energy and bin alone."""
        shape = self.volumes.values.shape
        h, k, energy = (np.arange(span.start, span.stop, dtype=np.uint64) for span in block[1:])
        rows = np.add.outer(h * np.uint64(shape[2]), k) * np.uint64(shape[3])
        numbers = np.add.outer(rows, energy)
        incident = [round(float(value) * 1e6) for value in self.volumes.incident_energies[block[0].seen]]
        for pair in range(0, self.replicas, 2):
            keys = [noise_key(self.seed, pair, level) for level in incident]
            yield from standard_normal_pair(keys, numbers)[: self.replicas - pair]

    def _counted(self, mean: Floats) -> tuple[Floats | float, Floats | float]:
        """How much of the propagated variance counts for the 68 % and for the 95 % interval."""
        if self.calibration is None:
            return 1.0, NORMAL_95**2
        return self.calibration.factors(mean * self.factor)

    def _own_error(self, each: Floats, mean: Floats, block: Block) -> tuple[Floats, Floats]:
        """Halves of the 68 % and the 95 % interval of the model's own error."""
        spread = each.std(0, ddof=1) if self.members > 1 else np.zeros_like(mean)
        if self.calibration is None:
            return spread, NORMAL_95 * spread
        halves = self.calibration.halves(mean * self.factor, spread * self.factor, self.rows[block[0].seen])
        return halves[0] / self.factor, halves[1] / self.factor


def reach(network: Generator) -> tuple[int, ...] | None:
    """How many bins away an input bin still changes an output bin, per axis; None = any distance."""
    width = network.receptive_field()
    return None if width is None else tuple(bins // 2 for bins in width)


def _core(block: Block) -> tuple[slice, ...]:
    return tuple(span.core for span in block)


def _seen(block: Block) -> tuple[slice, ...]:
    return tuple(span.seen for span in block)


def _bins(block: Block) -> int:
    return prod(span.stop - span.start for span in block)
