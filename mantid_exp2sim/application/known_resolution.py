"""Deconvolve and convolve with the known resolution of the instrument: no model, no training, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, OptionError
from mantid_exp2sim.histogram import Floats, Histogram, require_histogram
from mantid_exp2sim.histogram.history import with_step
from mantid_exp2sim.inference.data_noise import noise_of
from mantid_exp2sim.inference.options import MAX_REPLICAS, require_whole
from mantid_exp2sim.inference.parts import with_parts
from mantid_exp2sim.inference.richardson_lucy import Deconvolved, richardson_lucy
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.mosaic import is_mosaic, join, split
from mantid_exp2sim.simulation.local_blur import LocalBlur, MeasuredBlur, local_blur
from mantid_exp2sim.simulation.setting import Measured, Setting, complete

Background = Literal["none", "constant", "smooth"]
Progress = Callable[[int, int, str], None]
QUANTILE = 0.05
"""Of the local means: what is taken for the background."""
EXPLAINED = 0.15
"""Share of the data, beyond their noise, that may be left unexplained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicalOptions:
    """Hold the options of Richardson–Lucy, validated once.

    Parameters
    ----------
    background
        "constant" takes a low quantile of the local means, "smooth" one at each energy transfer. It is
        neither sharpened nor in the result.
    uncertainty
        Whether to give a variance, from ``replicas`` deconvolutions of data with more noise. It says how the
        noise of the data comes through, not how far the method is from the truth.
    replicas, seed
        How many, and the seed of their noise.

    Examples
    --------
    >>> ClassicalOptions(background="linear")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.OptionError: The background is 'linear'. Choose none, constant or smooth.
    """

    background: Background = "none"
    uncertainty: bool = True
    replicas: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.background not in ("none", "constant", "smooth"):
            raise OptionError(
                f"The background is {self.background!r}.",
                fix="Choose none, constant or smooth.",
                option="background",
            )
        require_whole("replicas", self.replicas, 2, MAX_REPLICAS)
        require_whole("seed", self.seed, 0, 2**63 - 1)


def deconvolve_known(
    histogram: Histogram,
    setting: Setting,
    options: ClassicalOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Histogram:
    """Take the resolution of a known instrument out by Richardson–Lucy.

    Axes, mask and units stay as they are. The last entry of ``metadata["history"]`` tells the setting and
    where it is from, the noise, the iterations and why they ended, what was left unexplained, the
    background, and warnings.

    Raises
    ------
    Exp2SimError
        If the instrument, the incident energy or the lattice is not known, or an axis has no resolution.
    """
    return deconvolve_volumes(histogram, setting, options or ClassicalOptions(), progress)[0]


def separate_known(
    histogram: Histogram,
    setting: Setting,
    options: ClassicalOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Translation:
    """Do what `deconvolve_known` does, and give the background and the residual beside the sharp spectrum.

    The background is that of the options, the residual what is left of the data without it and the sharp
    spectrum with the resolution.
    """
    options = options or ClassicalOptions()
    return separated(histogram, *deconvolve_volumes(histogram, setting, options, progress, residual=True))


def separated(histogram: Histogram, sharp: Histogram, parts: Sequence[Part]) -> Translation:
    """Put what `deconvolve_volumes` made of a histogram together with what was taken out."""
    removed, residual = (
        _whole(histogram, [getattr(part, name) for part in parts]).intensity
        for name in ("removed", "residual")
    )
    return with_parts(Translation(sharp), histogram, removed, residual, "the known resolution")


Solve = Callable[[Histogram, Measured, ClassicalOptions, int, bool], "Part"]
"""What deconvolves one volume: its setting, the options, its number, whether the residual is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What was made of one volume; ``residual`` where it was asked for, ``told`` for the history."""

    sharp: Histogram
    removed: Histogram
    residual: Histogram
    told: dict[str, Any]


def deconvolve_volumes(
    histogram: Histogram,
    setting: Setting,
    options: ClassicalOptions,
    progress: Progress | None,
    *,
    residual: bool = False,
    solve: Solve | None = None,
    about: Mapping[str, Any] | None = None,
) -> tuple[Histogram, list[Part]]:
    """Deconvolve the volumes of a histogram, each by ``solve`` (default `deconvolve_volume`).

    ``about`` goes into the history. Returns the whole and its parts.
    """
    solve = solve or deconvolve_volume
    volumes, parts = _volumes(histogram), []
    settings = [complete(setting, volume, histogram) for volume in volumes]
    for number, (volume, measured) in enumerate(zip(volumes, settings, strict=True)):
        if progress is not None:
            progress(number, len(volumes), f"deconvolve: {number + 1} of {len(volumes)}")
        parts.append(solve(volume, measured, options, number, residual))
    if progress is not None:
        progress(len(volumes), len(volumes), "done")
    step = {
        "method": " and ".join(sorted({part.told.get("method", "richardson-lucy") for part in parts})),
        **(about or {}),
        **_about(settings, volumes),
        "seed": options.seed,
        "replicas": options.replicas if options.uncertainty else 0,
        "background": options.background,
        "volumes": [part.told for part in parts],
        "warnings": [text for part in parts for text in part.told["warnings"]],
    }
    return _joined(histogram, [part.sharp for part in parts], "deconvolve", step), parts


def convolve_known(histogram: Histogram, setting: Setting, *, progress: Progress | None = None) -> Histogram:
    """Put the resolution of a known instrument in; the variance becomes that of the weighted means.

    Axes, mask, units and errors are those of `deconvolve_known`.
    """
    volumes, parts = _volumes(histogram), []
    settings = [complete(setting, volume, histogram) for volume in volumes]
    for number, (volume, measured) in enumerate(zip(volumes, settings, strict=True)):
        if progress is not None:
            progress(number, len(volumes), f"convolve: {number + 1} of {len(volumes)}")
        parts.append(_convolve_volume(volume, measured))
    if progress is not None:
        progress(len(volumes), len(volumes), "done")
    return _joined(histogram, parts, "convolve", {"method": "resolution", **_about(settings, volumes)})


def check_known(histogram: Histogram, setting: Setting) -> None:
    """Raise what a deconvolution would raise because of the setting; quick."""
    for volume in _volumes(histogram):
        complete(setting, volume, histogram).place(volume)


def resolution_on(histogram: Histogram, measured: Measured) -> LocalBlur:
    """Build the resolution on the bins of a histogram."""
    placement = measured.place(histogram)
    return local_blur([axis.edges for axis in histogram.axes], placement.covariances)


def _volumes(histogram: Histogram) -> Sequence[Histogram]:
    require_histogram(histogram)
    if histogram.mask.all():
        raise Exp2SimError(
            "No bin of the data was measured.", fix="Check the mask, or choose data with measured bins."
        )
    if is_mosaic(histogram):
        return split(histogram)
    names = [axis.name for axis in histogram.axes if axis.size == 1]
    return (histogram.integrate(*names) if 0 < len(names) < histogram.ndim else histogram,)


def _joined(
    histogram: Histogram, parts: Sequence[Histogram], command: str, options: dict[str, Any]
) -> Histogram:
    metadata = with_step(histogram.metadata, command, options)
    if not is_mosaic(histogram):
        metadata["incident_energy"] = options["incident_energy"]
    return _whole(histogram, parts).replace(metadata=metadata)


def _whole(histogram: Histogram, parts: Sequence[Histogram]) -> Histogram:
    """Put volumes together on the bins of the histogram that they were taken from."""
    whole = join(parts) if is_mosaic(histogram) else parts[0]
    intensity, variance = (array.reshape(histogram.shape) for array in (whole.intensity, whole.variance))
    return histogram.replace(intensity=intensity, variance=variance)


def _about(settings: Sequence[Measured], volumes: Sequence[Histogram]) -> dict[str, Any]:
    """The setting, of a mosaic with the lists of incident energies and frequencies."""
    told = [measured.to_dict() for measured in settings]
    told[0]["sample"] = settings[0].place(volumes[0]).sample
    if len(told) == 1:
        return told[0]
    return {**told[0], **{key: [part[key] for part in told] for key in ("incident_energy", "frequency")}}


def deconvolve_volume(
    volume: Histogram, measured: Measured, options: ClassicalOptions, number: int, residual: bool
) -> Part:
    """Deconvolve one volume, the ``number``-th, by Richardson–Lucy."""
    if volume.mask.all():
        return Part(volume, volume, volume, {"warnings": []})
    blur = resolution_on(volume, measured).on(volume.mask)
    variance, source = noise_of(volume, blur)
    background = background_of(volume, blur, options.background)
    values = np.where(volume.mask, 0.0, volume.intensity - background)
    outcome = richardson_lucy(
        blur, values, variance,
        replicas=options.replicas if options.uncertainty else 0, seed=options.seed, level=number,
    )  # fmt: skip
    told = {
        "noise": source,
        "iterations": outcome.iterations,
        "stop": outcome.stop,
        "chi_squared": outcome.chi_squared if np.isfinite(outcome.chi_squared) else None,
        "unexplained": outcome.unexplained,
        "background_total": float(background[~volume.mask].sum()),
        "background_mean": float(background[~volume.mask].mean()),
        "warnings": _warnings(outcome, f"at {measured.incident_energy:g} meV "),
    }
    sharp = volume.replace(
        intensity=np.where(volume.mask, np.nan, outcome.intensity),
        variance=np.where(volume.mask, np.nan, outcome.variance),
    )
    left = values - blur.blur(outcome.intensity) if residual else np.zeros(volume.shape)
    removed, rest = (
        volume.replace(intensity=np.where(volume.mask, np.nan, part)) for part in (background, left)
    )
    return Part(sharp, removed, rest, told)


def _warnings(outcome: Deconvolved, where: str) -> list[str]:
    texts = []
    if outcome.stop == "maximum":
        texts.append(f"{where}it stopped at {outcome.iterations} iterations, before it came to an end")
    if outcome.unexplained > EXPLAINED:
        share = f"{100 * outcome.unexplained:.0f} %"
        texts.append(f"{where}{share} of the data are not explained: check instrument, energy and lattice")
    return texts


def background_of(volume: Histogram, blur: MeasuredBlur, kind: Background) -> Floats:
    """Return a low quantile of the local means: of all bins, or at each energy, smoothed over five."""
    if kind == "none":
        return np.zeros(volume.shape)
    mean = np.where(volume.mask, np.nan, blur.blur(np.where(volume.mask, 0.0, volume.intensity)))
    energy = volume.find_axis("energy")
    if kind == "constant" or energy is None or volume.ndim == 1:
        return np.full(volume.shape, max(float(np.nanquantile(mean, QUANTILE)), 0.0))
    rows = np.moveaxis(mean, energy, 0).reshape(volume.shape[energy], -1)
    known = ~np.isnan(rows).all(axis=1)
    places = np.arange(known.size)
    low = np.interp(places, places[known], np.nanquantile(rows[known], QUANTILE, axis=1))
    padded = np.pad(np.maximum(low, 0.0), 2, mode="edge")
    smooth = np.convolve(padded, np.full(5, 0.2), mode="valid")
    return np.moveaxis(
        np.broadcast_to(smooth, (*np.delete(volume.shape, energy), smooth.size)), -1, energy
    ).copy()


def _convolve_volume(volume: Histogram, measured: Measured) -> Histogram:
    if volume.mask.all():
        return volume
    kernel = resolution_on(volume, measured)
    blur = kernel.on(volume.mask)
    squared = kernel.spread_variance(np.where(volume.mask, 0.0, volume.variance).astype(np.float32))
    return volume.replace(
        intensity=np.where(volume.mask, np.nan, blur.blur(volume.intensity)),
        variance=np.where(volume.mask, np.nan, squared * blur.share**2),
    )
