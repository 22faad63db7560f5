"""Histogram to Histogram through a generator: volumes, blocks, masks, errors, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import NotFiniteError
from mantid_exp2sim.histogram import Floats, Histogram
from mantid_exp2sim.histogram.history import with_history
from mantid_exp2sim.inference.history import history_entry
from mantid_exp2sim.inference.intensity import intensity_factor
from mantid_exp2sim.inference.noise_replicas import noise_key, standard_normal_pair
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.outputs import Output, average_outputs
from mantid_exp2sim.inference.prepare import Prepared
from mantid_exp2sim.inference.sliding_window import Block, blocks, samples_at_once
from mantid_exp2sim.inference.volumes import Volumes
from mantid_exp2sim.inference.worker import short_waits
from mantid_exp2sim.model.device import CPU
from mantid_exp2sim.model.error_model import NORMAL_95, ErrorModel
from mantid_exp2sim.networks.layout import AXES

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.model.card import Direction
    from mantid_exp2sim.networks.generator import Generator

Progress = Callable[[int, int, str], None]
"""``progress(done, total, message)``; what it raises ends the run and reaches the caller."""


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """Hold a translated histogram and the parts of its uncertainty, NaN where not measured.

    ``histogram.variance`` is ``input_variance + model_variance``: its square root is half of the 68 %
    interval. ``half_95`` is half of the 95 % interval. These parts are None where they were not asked for.
    ``model_variance`` is 0 and ``model_known`` False where the model's own error is not known: it has one
    member and no calibration. It is the plain variance between the members, which is not the error, where
    ``calibrated`` is False.

    ``removed`` is the background that a deconvolution took out, and ``residual`` what the data have beyond it
    and the sharp spectrum, put back ``put_back_through`` the resolution or a network. Their sum is the
    measurement. Made where they are asked for: `application.separation`.
    """

    histogram: Histogram
    input_variance: Floats | None = None
    model_variance: Floats | None = None
    half_95: Floats | None = None
    model_known: bool = False
    calibrated: bool = False
    removed: Histogram | None = None
    residual: Histogram | None = None
    put_back_through: str = ""


def translate(
    prepared: Prepared, direction: Direction, *, parts: bool = False, progress: Progress | None = None
) -> Translation:
    """Translate a histogram; axes, mask, units and everything the file held stay as they are.

    A mosaic goes through the generator as its six (h, k, E) volumes, other data as one volume; nothing
    crosses a panel's border or an incident energy. What was not measured is NaN in the result and nothing
    else is, and no value under the mask has any influence.

    Parameters
    ----------
    prepared
        From :func:`mantid_exp2sim.inference.prepare.prepare`.
    direction
        ``deconvolve`` (measurement-like to simulation-like) or ``convolve`` (back).
    parts
        Also give the parts of the variance and the 95 % interval; needs ``options.uncertainty``.
    progress
        Called at the start with how much there is to do, after each layer of each block and at the end. It
        counts in layers, so it moves within a block too. An exception it raises
        (`Cancelled`, `KeyboardInterrupt`) ends the run, with nothing changed anywhere.

    Returns
    -------
    Translation
        Its ``histogram`` has the units of the input; ``metadata["history"]`` says how to repeat it.

    Raises
    ------
    Exp2SimError
        If torch is missing, or the network's result is not finite.

    Examples
    --------
    >>> from mantid_exp2sim.inference.prepare import prepare
    >>> from mantid_exp2sim.model.bundle import open_bundle
    >>> from mantid_exp2sim.model.registry import list_models
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> if "pcsmo-maps" in list_models():
    ...     picture = mosaic_histogram(np.ones((240, 400)))
    ...     sharp = translate(prepare(picture, open_bundle("pcsmo-maps")), "deconvolve").histogram
    """
    histogram, options = prepared.histogram, prepared.options
    runner = _Runner(
        prepared.bundle,
        direction,
        prepared.volumes,
        prepared.factor,
        tile=options.tile,
        uncertainty=options.uncertainty,
        calibration=prepared.bundle.card.errors.get(direction),
        replicas=options.replicas if options.uncertainty and _is_noisy(prepared.volumes) else 0,
        seed=options.seed,
        progress=progress,
        device=options.device,
    )
    names = ("intensity", "variance", *(("input", "model", "half_95") if parts else ()))
    outputs = {name: Output(histogram.shape, prepared.volumes) for name in names}
    runner.run(outputs, parts=parts)
    if options.symmetrise and prepared.inverted:
        average_outputs(outputs.values(), prepared.volumes.mask)
    arrays = {name: output.finish(histogram.mask) for name, output in outputs.items()}
    entry = history_entry(prepared.bundle, direction, options.seed, _recorded(prepared))
    if options.uncertainty:
        entry["uncertainty"] = runner.about_uncertainty()
    metadata = with_history(histogram.metadata, entry)
    if options.incident_energy is not None:
        metadata["incident_energy"] = float(options.incident_energy)
    result = histogram.replace(
        intensity=arrays.pop("intensity"), variance=arrays.pop("variance"), metadata=metadata
    )
    return Translation(
        result,
        arrays.get("input"),
        arrays.get("model"),
        arrays.get("half_95"),
        model_known=runner.calibration is not None or runner.members > 1,
        calibrated=runner.calibration is not None,
    )


def _recorded(prepared: Prepared) -> dict[str, Any]:
    """Return the options that stand in the history, in JSON."""
    options = prepared.options
    names = ("tile", "uncertainty", "replicas", "scale", "absolute", "symmetrise", "all_bins")
    recorded = {name: getattr(options, name) for name in names}
    recorded |= {"factor": prepared.factor, "left_out": list(prepared.notes)}
    if options.incident_energy is not None:
        recorded["incident_energy"] = float(options.incident_energy)
    if options.device != CPU:
        recorded["device"] = options.device
    return recorded


def translate_volumes(
    bundle: Bundle, direction: Direction, volumes: Volumes, *, replicas: int = 16, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Return a result, the variance propagated from the input, and that between the members, uncalibrated.

    ``volumes`` have the bins of the training data, about (h, k) = 0 where the model's card has that symmetry.
    All three (B, h, k, E), NaN where not measured; the last is 0 for a single member. This is what a
    calibration is fitted to.
    """
    factor = intensity_factor(TranslationOptions(), volumes, bundle.card)
    runner = _Runner(
        bundle, direction, volumes, factor, tile=None, uncertainty=True, calibration=None,
        replicas=replicas * _is_noisy(volumes), seed=seed, progress=None,
    )  # fmt: skip
    outputs = [Output(volumes.values.shape, volumes) for _ in range(3)]
    runner.run(dict(zip(("intensity", "input", "model"), outputs, strict=True)), parts=True)
    if "inversion" in bundle.card.symmetries:
        average_outputs(outputs, volumes.mask)
    result, propagated, spread = (output.finish(volumes.mask) for output in outputs)
    return result, propagated, spread


def _is_noisy(volumes: Volumes) -> bool:
    return bool(np.fmax.reduce(volumes.variances, axis=None) > 0)


@dataclass(slots=True)
class _Runner:
    """The members of one generator over the volumes of one histogram, block by block.

    All that is needed of a block, its replicas too, is computed before the next one: nothing but the outputs
    has the size of the data.
    """

    bundle: Bundle
    direction: Direction
    volumes: Volumes
    factor: float
    tile: int | None = field(kw_only=True)
    uncertainty: bool = field(kw_only=True)
    calibration: ErrorModel | None = field(kw_only=True)
    replicas: int = field(kw_only=True)
    seed: int = field(kw_only=True)
    progress: Progress | None = field(kw_only=True)
    device: str = field(kw_only=True, default=CPU)
    networks: list[Generator] = field(init=False)
    at_once: int = field(init=False)
    rows: list[int] = field(init=False)
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        members = self.bundle.members(self.direction, self.device)
        self.networks = [network.prepare() for network in members]  # type: ignore[operator]
        self.rows = [self.bundle.card.nearest(energy) for energy in self.volumes.incident_energies]

    @property
    def members(self) -> int:
        """How many networks the result is the mean of."""
        return len(self.networks)

    def about_uncertainty(self) -> dict[str, Any]:
        """Say what the variance of the result holds, in JSON."""
        spread = f"spread of {self.members} members, not calibrated" if self.members > 1 else "not known"
        return {
            "input": "propagated" if self.replicas else "none in the data",
            "model": "calibrated" if self.calibration is not None else spread,
            "members": self.members,
        }

    def run(self, outputs: dict[str, Output], *, parts: bool) -> None:
        """Fill the outputs."""
        import torch

        layout, shape = self.bundle.card.layout, self.volumes.values.shape
        parameters = sum(parameter.numel() for parameter in self.networks[0].parameters())
        cut = blocks(shape, layout, tile=self.tile, reach=reach(self.networks[0]), parameters=parameters)
        self.total = sum(self._samples(block) for block in cut) * self.members * (1 + self.replicas)
        where = "whole" if len(cut) == 1 else f"in {len(cut)} blocks"
        self.report(f"{self.direction} {where}: {self.total} passes of a network")
        with short_waits(), torch.inference_mode(), np.errstate(over="ignore", invalid="ignore"):
            for block in cut:
                self.at_once = samples_at_once(_bins(block) // self._samples(block), parameters)
                arrays = self._block(block, parts=parts)
                for name, output in outputs.items():
                    output.view[_core(block)] = arrays.get(name, 0.0)
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
        layout = self.bundle.card.layout
        sizes = dict(zip(("batch", *AXES), (span.stop - span.start for span in block), strict=True))
        return prod(sizes[name] for name in ("batch", *layout.folded))

    def _block(self, block: Block, *, parts: bool) -> dict[str, Floats]:
        """What the outputs hold in the core of a block, in the data's units; nothing where all is masked."""
        measured = ~self.volumes.mask[_core(block)]
        if not measured.any():
            self.done += self._samples(block) * self.members * (1 + self.replicas)
            return {}
        values = np.where(self.volumes.mask[_seen(block)], 0.0, self.volumes.values[_seen(block)])
        members = self._through(values[None], block)[:, 0]
        arrays: dict[str, Floats] = {"intensity": members.mean(0)}
        if self.uncertainty:
            propagated = np.zeros_like(arrays["intensity"])
            if self.replicas:
                propagated = self._input_variance(values, arrays["intensity"], block)
            sigma, tau = self._own_error(members, arrays["intensity"], block)
            narrow, wide = self._counted(arrays["intensity"])
            arrays["variance"] = narrow * propagated + sigma**2
            if parts:
                arrays["input"], arrays["model"] = narrow * propagated, sigma**2
                arrays["half_95"] = np.sqrt(wide * propagated + tau**2)
        if not all(np.isfinite(array[measured]).all() for array in arrays.values()):
            raise NotFiniteError(
                "The network's result is not finite.",
                reason="The intensities are probably far outside what it was trained on.",
                fix="Check the units of the data, or set `scale` (a factor, or 'auto').",
            )
        return arrays

    def _through(self, batch: npt.NDArray[Any], block: Block) -> Floats:
        """Replicas of a block (R, b, h, k, E) through every member: (members, R, *core), float64."""
        import torch

        card, mask = self.bundle.card, self.volumes.mask[_seen(block)]
        scaled = np.where(mask, 0.0, card.scaling.forward(batch * self.factor)).astype(np.float32)
        x = torch.from_numpy(scaled).flatten(0, 1)
        copies = len(batch)
        masks = torch.from_numpy(mask.astype(np.float32)).repeat(copies, 1, 1, 1)
        energies = torch.from_numpy(self.volumes.incident_energies[block[0].seen]).repeat(copies)
        stacked = card.layout.stack(x, masks, energies).to(self.device)
        results = []
        for network in self.networks:
            output = network.infer(stacked, self._ticker(self._samples(block) * copies))
            volumes = card.layout.unstack(output.cpu(), x.shape).reshape(scaled.shape)
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

    def _own_error(self, members: Floats, mean: Floats, block: Block) -> tuple[Floats, Floats]:
        """Halves of the 68 % and the 95 % interval of the model's own error."""
        spread = members.std(0, ddof=1) if self.members > 1 else np.zeros_like(mean)
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
