"""Deconvolve and convolve data by whichever method serves: a trained network, or the known resolution."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

from mantid_exp2sim.application.known_resolution import (
    ClassicalOptions,
    convolve_known,
    deconvolve_known,
    separate_known,
)
from mantid_exp2sim.application.model import load_model
from mantid_exp2sim.application.separation import separate_network
from mantid_exp2sim.application.universal import deconvolve_any
from mantid_exp2sim.domain.check import check_domain
from mantid_exp2sim.errors import Exp2SimError, OptionError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.translate import Translation
from mantid_exp2sim.model.registry import DEFAULT_MODEL
from mantid_exp2sim.simulation.setting import Setting

if TYPE_CHECKING:
    from mantid_exp2sim.application.known_resolution import Progress
    from mantid_exp2sim.model.card import Direction

Method = Literal["network", "chopper-any", "richardson-lucy", "resolution", "auto"]
METHODS: dict[str, tuple[Method, ...]] = {
    "deconvolve": ("network", "chopper-any", "richardson-lucy", "auto"),
    "convolve": ("network", "resolution", "auto"),
}
"""By the direction; "richardson-lucy" and "resolution" need no model. Those but "network" and "auto" need to
know the instrument."""


def deconvolve(
    histogram: Histogram,
    *,
    method: Method = "auto",
    model: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Histogram:
    """Take the instrument's resolution out of data.

    Parameters
    ----------
    histogram
        Any axes: energy transfer, |Q| or directions in reciprocal space, or the published mosaic.
    method
        "network": a trained model, for data like those it was trained on. "chopper-any": the network for any
        material, with the known resolution; where it does not explain the data, Richardson–Lucy.
        "richardson-lucy": that, for any data. "auto": the model where it takes the data and calls them
        trustworthy, else "chopper-any", or Richardson–Lucy where a model is named or there is no torch.
    model
        Name or folder of the model, by default the shipped one; "chopper-any" is that method.
    options
        Fields of `simulation.setting.Setting` (``instrument``, ``incident_energy``, ``lattice`` …), of
        `application.known_resolution.ClassicalOptions` (``background`` …) and, for the network, of
        `inference.options.TranslationOptions`; and ``progress``.

    Returns
    -------
    Histogram
        The last entry of its ``metadata["history"]`` says what was done, and warns.

    Raises
    ------
    Exp2SimError
        If an option is unknown, or what the method needs is not known.

    Examples
    --------
    >>> from mantid_exp2sim.simulation.measurement import simulate
    >>> from mantid_exp2sim.simulation.binning import Binning
    >>> binning = Binning.regular(12.0, bins=(12, 12, 6))
    >>> measured = simulate("rb2mnf4", {"J1": 0.6}, binning=binning, instrument="MERLIN", grid=8)
    >>> sharp = deconvolve(measured, method="richardson-lucy")
    >>> sharp.metadata["history"][-1]["options"]["sources"]["instrument"]
    'from the file'
    """
    return _run("deconvolve", histogram, method, model, options).histogram


def separate(
    histogram: Histogram,
    *,
    method: Method = "auto",
    model: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Translation:
    """Deconvolve data, and give the background that it takes out and a residual; arguments of `deconvolve`.

    Returns
    -------
    Translation
        ``histogram`` is the sharp spectrum, ``removed`` the background, ``residual`` the rest: the sharp
        spectrum with the resolution (or through the model's convolve direction, ``put_back_through`` says
        which), ``removed`` and ``residual`` add up to the data. `application.separation` tells the formula.
    """
    return _run("deconvolve", histogram, method, model, options, separated=True)


def convolve(
    histogram: Histogram,
    *,
    method: Method = "auto",
    model: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Histogram:
    """Put the instrument's resolution into data; arguments as in `deconvolve`, the method is "resolution"."""
    return _run("convolve", histogram, method, model, options).histogram


def _run(
    direction: Direction,
    histogram: Histogram,
    method: Method,
    model: str | os.PathLike[str] | None,
    options: dict[str, Any],
    *,
    separated: bool = False,
) -> Translation:
    if model == "chopper-any" and method == "network":
        method, model = "chopper-any", None
    check_method(direction, method)
    progress = options.pop("progress", None)
    setting, classical, translation = (
        {name: value for name, value in options.items() if name in names}
        for names in ({field.name for field in fields(kind)} for kind in _KINDS)
    )
    if unknown := sorted(set(options) - {*setting, *classical, *translation}):
        raise OptionError(
            f"There is no option {unknown[0]!r}.",
            fix="Leave it out; mantid_exp2sim.deconvolve tells those that there are.",
            option=unknown[0],
        )
    note = ""
    if method == "auto":
        method, note = choose(direction, histogram, model, TranslationOptions(**translation))
    if method == "network":
        chosen = load_model(model or DEFAULT_MODEL)
        prepared = chosen.prepare(histogram, **translation)
        sharp = chosen.translate(prepared, direction, progress=progress)
        return separate_network(chosen, prepared, sharp, Setting(**setting)) if separated else sharp
    return by_resolution(
        direction, histogram, Setting(**setting), ClassicalOptions(**classical),
        method=method, note=note, separated=separated, progress=progress,
    )  # fmt: skip


_KINDS = (Setting, ClassicalOptions, TranslationOptions)


def check_method(direction: Direction, method: str) -> None:
    """Raise `OptionError` where a direction has no such method."""
    if method not in METHODS[direction]:
        raise OptionError(
            f"There is no method {method!r} to {direction} data.",
            fix=f"Choose one of {', '.join(METHODS[direction])}.",
            option="method",
        )


def choose(
    direction: Direction,
    histogram: Histogram,
    model: str | os.PathLike[str] | None,
    options: TranslationOptions,
) -> tuple[Method, str]:
    """Choose the model where it takes the data and calls them trustworthy, else what knows the resolution.

    Returns the method, and why it is not the model.
    """
    if importlib.util.find_spec("torch") is None:
        return METHODS[direction][-2], "torch is not installed"
    try:
        prepared = load_model(model or DEFAULT_MODEL).prepare(histogram, options)
        report = check_domain(prepared, direction)
    except Exp2SimError as error:
        return _other(direction, model), f"the model does not take the data: {error.summary}"
    if report.verdict == "trustworthy":
        return "network", ""
    return _other(direction, model), report.words()


def _other(direction: Direction, model: str | os.PathLike[str] | None) -> Method:
    """The method where the model does not serve: Richardson–Lucy if the user named a model."""
    return METHODS[direction][-2] if model is not None else METHODS[direction][1]


def by_resolution(
    direction: Direction,
    histogram: Histogram,
    setting: Setting,
    options: ClassicalOptions,
    *,
    method: Method = "richardson-lucy",
    note: str = "",
    separated: bool = False,
    progress: Progress | None = None,
) -> Translation:
    """Deconvolve or convolve by a method that knows the resolution; ``note`` says why it is not the model."""
    if direction == "convolve":
        result = Translation(convolve_known(histogram, setting, progress=progress))
    elif method == "chopper-any":
        result = deconvolve_any(histogram, setting, options, split=separated, progress=progress)
    elif separated:
        result = separate_known(histogram, setting, options, progress=progress)
    else:
        result = Translation(deconvolve_known(histogram, setting, options, progress=progress))
    if not note:
        return result
    metadata = result.histogram.metadata
    history = list(metadata["history"])
    history[-1] = {**history[-1], "not_the_network": note}
    return replace(result, histogram=result.histogram.replace(metadata={**metadata, "history": history}))
