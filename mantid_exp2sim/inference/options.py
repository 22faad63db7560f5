"""What a user may ask of a translation, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mantid_exp2sim.errors import IncidentEnergyError, OptionError, require
from mantid_exp2sim.inference.sliding_window import check_tile
from mantid_exp2sim.model.device import CPU

MAX_REPLICAS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationOptions:
    """Hold the options of a translation, validated once; classify, check and explain use some of them.

    Parameters
    ----------
    tile
        Bins of a tile along each axis the network slides over; None takes whole images where they are small.
        The result is the same for any value, to rounding (1e-5 of the largest intensity).
    uncertainty
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
        training data. Whole volumes need none: they are brought to the level of the training data by
        themselves (:func:`mantid_exp2sim.inference.intensity.intensity_factor`).
    all_bins
        Whether to take all bins that are not masked: also regions of zeros that were not measured, and edges
        of gaps that contradict their symmetry partners.
    symmetrise
        Whether a result is averaged over the symmetries on the model's card, where the bins lie so.
    absolute
        Whether the intensities are in the model's unit after ``scale``, and nothing is to be brought to a
        level.
    incident_energy
        meV, in place of what the histogram's metadata say, also in those of the result; not for mosaics.
    device
        Where the networks run, as PyTorch calls it: ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Results of two
        devices agree to rounding.
    force
        Translate data outside the model's domain of application too.

    Raises
    ------
    OptionError
        If a value is out of range; its ``option`` names it.

    Examples
    --------
    >>> TranslationOptions(tile=32).replicas
    16
    >>> TranslationOptions(replicas=1)
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.OptionError: replicas is 1. It takes a whole number from 2 to 10000. ...
    """

    tile: int | None = None
    uncertainty: bool = True
    replicas: int = 16
    seed: int = 0
    scale: float | str = 1.0
    absolute: bool = False
    symmetrise: bool = True
    all_bins: bool = False
    incident_energy: float | None = None
    device: str = CPU
    force: bool = False

    def __post_init__(self) -> None:
        check_tile(self.tile)
        require_whole("replicas", self.replicas, 2, MAX_REPLICAS)
        require_whole("seed", self.seed, 0, 2**63 - 1)
        require(self.device, str, "the name of a device", fix="Give a name, such as 'cpu' or 'cuda'.")
        if self.incident_energy is not None:
            require_energy(self.incident_energy)
        if self.scale != "auto" and not is_positive(self.scale):
            raise OptionError(
                f"scale is {self.scale!r}.",
                reason="It takes a positive number or 'auto'.",
                fix="Leave it out, or give such a value.",
                option="scale",
            )


def is_positive(value: object) -> bool:
    """Say whether a value is a finite number above 0.

    >>> is_positive(1.5), is_positive(True), is_positive("1"), is_positive(float("nan"))
    (True, False, False, False)
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and bool(0 < value < float("inf"))  # type: ignore[operator]


def require_energy(value: Any) -> float:
    """Return an incident energy in meV, or raise `IncidentEnergyError` where it is no positive number.

    >>> require_energy(50)
    50.0
    """
    if not is_positive(value):
        raise IncidentEnergyError(
            f"The incident energy {value!r} is no positive number of meV.",
            fix="Give it in meV, such as 50.",
            value=float("nan"),
        )
    return float(value)


def require_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise `OptionError` where an option is no whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise OptionError(
            f"{name} is {value!r}.",
            reason=f"It takes a whole number from {low} to {high}.",
            fix="Leave it out, or give such a number.",
            option=name,
        )
