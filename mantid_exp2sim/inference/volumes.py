"""A histogram as the (h, k, E) volumes a model takes, checked against its card, and back.

Axes are found by name, unit and frame, never by position. A mosaic is its six volumes; any other histogram
is one volume at one incident energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import AxisError, Exp2SimError, IncidentEnergyError, OptionError
from mantid_exp2sim.histogram import Axis, Booleans, Floats, Histogram, require_histogram
from mantid_exp2sim.histogram.uncertainty import estimate_variance, find_spoiling
from mantid_exp2sim.inference.options import require_energy
from mantid_exp2sim.io.axes import integrated_axis, usual_unit
from mantid_exp2sim.model.card import AcceptedAxis, Card
from mantid_exp2sim.networks.layout import AXES, REFERENCE_ENERGY

_TITLES = {"h": "h", "k": "k", "energy": "energy transfer"}


@dataclass(frozen=True, slots=True, eq=False)
class Volumes:
    """B volumes of one binning, (B, h, k, E), as views of the histogram where that can be.

    ``values`` and ``variances`` are float64, NaN where the mask is True; intensities without a known error
    have that of counts (:mod:`mantid_exp2sim.histogram.uncertainty`). ``incident_energies`` is float64 (B,)
    in meV. ``close`` takes a result (B, h, k, E) back to the shape and the axis order of the histogram it
    came from, and ``open`` an array of that shape to (B, h, k, E).
    """

    values: Floats
    variances: Floats
    mask: Booleans
    incident_energies: Floats
    open: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    close: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

    def follow(self, histogram: Histogram) -> Volumes:
        """Return the volumes of another histogram with the same axes and gaps."""
        values, variances = self.open(histogram.intensity), self.open(histogram.variance)
        return replace(self, values=values, variances=_with_errors(values, variances, self.mask))

    @property
    def intensity(self) -> Floats:
        """A copy of the values, 0 where not measured."""
        return np.where(self.mask, 0.0, self.values)

    @property
    def variance(self) -> Floats:
        """A copy of the variances, 0 where not measured."""
        return np.where(self.mask, 0.0, self.variances)


def open_volumes(histogram: Histogram, card: Card, *, incident_energy: float | None = None) -> Volumes:
    """The volumes of a histogram, if the model of this card takes them.

    ``incident_energy`` (meV) stands in where the histogram's metadata has none.

    Raises
    ------
    Exp2SimError
        If nothing was measured, or an axis, its bins or the incident energy is not what the card asks for.

    Examples
    --------
    >>> from mantid_exp2sim.model.card import mosaic_axes
    >>> card = Card(name="x", scaling={}, layout={"windows": 10}, axes=mosaic_axes(),
    ...             incident_energies=mosaic.INCIDENT_ENERGIES)
    >>> open_volumes(mosaic.mosaic_histogram(np.ones((240, 400))), card).intensity.shape
    (6, 40, 40, 10)
    """
    require_histogram(histogram)
    if bool(histogram.mask.all()):
        raise Exp2SimError(
            "Every bin is masked or NaN.",
            reason="There is nothing measured to work on.",
            fix="Check the mask that goes with the data.",
        )
    if mosaic.is_mosaic(histogram):
        if incident_energy is not None:
            raise IncidentEnergyError(
                f"An incident energy of {incident_energy:g} meV was given for a mosaic.",
                reason="A mosaic has its own six.",
                fix="Leave it out.",
                value=incident_energy,
            )
        return _open_mosaic(histogram, card)
    return _open_single(histogram, card, incident_energy)


def intensity_factor(scale: float | str, volumes: Volumes, card: Card) -> float:
    """Return what the intensity is multiplied by before a network: ``scale``, or what ``"auto"`` means."""
    if scale != "auto":
        return float(scale)
    mean = float(np.mean(volumes.values, where=~volumes.mask))
    if card.mean_intensity is None or not mean > 0:
        raise OptionError(
            "scale='auto' cannot be used here.",
            reason="The mean intensity of the data is not positive, or the model's card has none.",
            fix="Give the factor as a number.",
            option="scale",
        )
    return card.mean_intensity / mean


def _open_mosaic(histogram: Histogram, card: Card) -> Volumes:
    for energy in mosaic.INCIDENT_ENERGIES:
        _check_incident_energy(energy, card)
        for kind, axis in zip(AXES, mosaic.volume_axes(energy), strict=True):
            _check_axis(axis, card.axis(kind), energy)
    return _opened(
        histogram,
        np.array(mosaic.INCIDENT_ENERGIES),
        mosaic.volumes_from_picture,
        mosaic.picture_from_volumes,
    )


def _open_single(histogram: Histogram, card: Card, incident_energy: float | None) -> Volumes:
    positions = {kind: histogram.find_axis(kind) for kind in ("h", "k", "energy")}
    _check_other_axes(histogram, positions)
    energy = _incident_energy(histogram, card, incident_energy)
    for kind, position in positions.items():
        axis = integrated_axis(histogram, kind) if position is None else histogram.axes[position]
        _check_axis(axis, card.axis(kind), energy)
    order = _order(histogram, positions, card)
    present = [positions[kind] for kind in order if positions[kind] is not None]
    others = [i for i in range(histogram.ndim) if i not in present]
    permutation = [p for p in present if p is not None] + others
    sizes = [histogram.shape[p] if (p := positions[kind]) is not None else 1 for kind in order]
    moved = [histogram.shape[i] for i in permutation]
    if all(sizes[AXES.index(name)] == 1 for name in card.layout.spatial):
        along = " and ".join(_TITLES[name] for name in card.layout.spatial)
        raise AxisError(
            f"The data have no more than one bin along {along}.",
            reason=f"Along it the model {card.name!r} translates.",
            fix="Cut the data with this axis, or use a model made for such cuts.",
            wrong="bins",
        )

    def close(volumes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.transpose(volumes.reshape(moved), np.argsort(permutation))

    def opened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.transpose(array, permutation).reshape(1, *sizes)

    return _opened(histogram, np.array([energy]), opened, close)


def _opened(
    histogram: Histogram,
    energies: Floats,
    opened: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    close: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> Volumes:
    values, variances, mask = (opened(a) for a in (histogram.intensity, histogram.variance, histogram.mask))
    return Volumes(values, _with_errors(values, variances, mask), mask, energies, opened, close)


def _with_errors(values: Floats, variances: Floats, mask: Booleans) -> Floats:
    """Estimate errors of intensities that have none, volume by volume; one without any error keeps none."""
    if not any(find_spoiling(*volume).any() for volume in zip(values, variances, mask, strict=True)):
        return variances
    return np.stack([estimate_variance(*volume) for volume in zip(values, variances, mask, strict=True)])


def _order(histogram: Histogram, positions: dict[str, int | None], card: Card) -> tuple[str, str, str]:
    """(h, k, E); a network that slides over h, but not over k, takes k with h integrated the same way."""

    def size(kind: str) -> int:
        position = positions[kind]
        return 1 if position is None else histogram.shape[position]

    swap = card.layout.takes_k_for_h and size("h") == 1 and size("k") > 1
    return ("k", "h", "energy") if swap else ("h", "k", "energy")


def _check_other_axes(histogram: Histogram, positions: dict[str, int | None]) -> None:
    used = set(positions.values())
    others = [axis for i, axis in enumerate(histogram.axes) if i not in used]
    wide = [f"{axis.name!r} ({axis.size} bins)" for axis in others if axis.size > 1]
    if wide or all(position is None for position in positions.values()):
        names = ", ".join(
            f"{axis.name!r} ({axis.size} bins, {axis.unit or 'no unit'})" for axis in histogram.axes
        )
        raise AxisError(
            f"The axes {names} are not those of the model.",
            reason="It takes h, k and energy transfer, such as [H,0,0], [0,K,0] and DeltaE; others "
            "integrated.",
            fix="Cut or integrate the data to these axes (`exp2sim cut`), or load a picture of shape "
            "(240, 400).",
            wrong="axes",
        )


def _incident_energy(histogram: Histogram, card: Card, override: float | None) -> float:
    value = histogram.metadata.get("incident_energy") if override is None else override
    needed = card.layout.incident_energy or any(axis.relative_to_incident_energy for axis in card.axes)
    if value is None:
        if not needed:
            return REFERENCE_ENERGY
        raise IncidentEnergyError(
            "The incident energy of the data is not known.",
            reason="The model needs it.",
            fix="Set metadata['incident_energy'] in meV, or give it (`--incident-energy`).",
            value=None,
        )
    energy = require_energy(value)
    if needed:
        _check_incident_energy(energy, card)
    return energy


def _check_incident_energy(value: float, card: Card) -> None:
    nearest = card.incident_energies[card.nearest(value)]
    if abs(nearest - value) > card.incident_energy_tolerance * nearest:
        raise IncidentEnergyError(
            f"The incident energy {value:g} meV is not one that the model {card.name!r} was trained for.",
            reason=f"It takes {', '.join(f'{energy:g}' for energy in card.incident_energies)} meV "
            f"within {100 * card.incident_energy_tolerance:g} %.",
            fix="Use another model, or train one for this incident energy.",
            value=value,
        )


def _check_axis(axis: Axis | None, rule: AcceptedAxis, incident_energy: float) -> None:
    if axis is None:
        if rule.integrated is None:
            raise AxisError(
                f"The data have no axis for {_TITLES[rule.kind]}.",
                reason="The model does not take data integrated over it.",
                fix="Cut the data with this axis, or use a model made for such slices.",
                kind=rule.kind,
                wrong="axes",
            )
        return
    check_words(axis, rule)
    unit = incident_energy if rule.relative_to_incident_energy else 1.0
    widths, slack = axis.widths / unit, rule.tolerance * rule.width
    if axis.size == 1 and rule.integrated is not None:
        if not rule.integrated[0] - slack <= widths[0] <= rule.integrated[1] + slack:
            raise _wrong_bins(axis, "integrated over {}", axis.widths, unit, rule)
        return
    if not np.allclose(widths, rule.width, rtol=0, atol=slack):
        raise _wrong_bins(axis, "bins {} wide", axis.widths, unit, rule)
    if rule.edges:
        edges = axis.edges / unit
        if edges.size != len(rule.edges) or not np.allclose(edges, rule.edges, rtol=0, atol=slack):
            raise _wrong_bins(axis, f"{axis.size} bins from {{}}", axis.edges[[0, -1]], unit, rule)


def check_words(axis: Axis, rule: AcceptedAxis) -> None:
    """Raise `AxisError` where unit or frame of an axis is none that a rule accepts."""
    wrong: Literal["unit", "frame"]
    for wrong, got, accepted in (("unit", axis.unit, rule.units), ("frame", axis.frame, rule.frames)):
        if accepted and usual_unit(got).lower() not in {usual_unit(word).lower() for word in accepted}:
            raise AxisError(
                f"The axis {axis.name!r} has the {wrong} {got!r}.",
                reason=f"The model takes {' or '.join(repr(word) for word in accepted)}.",
                fix="Transform the data to these axes first.",
                kind=rule.kind,
                wrong=wrong,
            )


def _range(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if high - low <= 1e-6 * abs(high) else f"{low:.4g} to {high:.4g}"


def _bins(rule: AcceptedAxis) -> str:
    unit = "Ei" if rule.relative_to_incident_energy else _unit(rule)
    text = f"bins {rule.width:.4g} {unit} wide"
    if rule.edges:
        text += f", {len(rule.edges) - 1} of them from {rule.edges[0]:.4g} to {rule.edges[-1]:.4g} {unit}"
    if rule.integrated is not None:
        text += f", or one bin {rule.integrated[0]:.4g} to {rule.integrated[1]:.4g} {unit} wide"
    return text


def _unit(rule: AcceptedAxis) -> str:
    return "meV" if rule.kind == "energy" else "r.l.u."


def _wrong_bins(axis: Axis, words: str, values: Floats, ei: float, rule: AcceptedAxis) -> AxisError:
    """``values`` (widths or edges) go into ``words`` as the file has them, with their share of ``ei``."""
    got = words.format(f"{_range(values)} {_unit(rule)}")
    share = f" ({_range(values / ei)} Ei, with Ei = {ei:g} meV)" if rule.relative_to_incident_energy else ""
    return AxisError(
        f"The axis {axis.name!r} has {got}{share}.",
        reason=f"The model was trained on {_bins(rule)}, and is right for no other.",
        fix="Rebin the data (coarser ones by `exp2sim rebin`, finer ones from the events), or use a "
        "model made for this binning.",
        kind=rule.kind,
        wrong="bins",
    )
