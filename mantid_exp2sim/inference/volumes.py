"""A histogram as the (h, k, E) volumes a model takes, checked against its card, and back.

Axes are found by name, unit and frame, never by position. A mosaic is its six volumes; any other histogram
is one volume at one incident energy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import AxisError, Exp2SimError, IncidentEnergyError
from mantid_exp2sim.histogram import Axis, Booleans, Floats, Histogram, Projection, Slot, require_histogram
from mantid_exp2sim.histogram.axis import usual_unit
from mantid_exp2sim.histogram.projection import Place
from mantid_exp2sim.histogram.uncertainty import estimate_variance, find_spoiling
from mantid_exp2sim.inference.options import require_energy
from mantid_exp2sim.io.axes import integrated_axis
from mantid_exp2sim.model.card import AcceptedAxis, Card
from mantid_exp2sim.networks.layout import AXES, REFERENCE_ENERGY

SAME_RANGE = 0.25
"""Two ranges of integration are the same where their ends differ by less than this share of the width."""


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


def _open_mosaic(histogram: Histogram, card: Card) -> Volumes:
    for energy in mosaic.INCIDENT_ENERGIES:
        _check_incident_energy(energy, card)
        axes = mosaic.volume_axes(energy)
        _check_other_axes(axes, card, card.projection.places(axes))
        for kind, axis in zip(AXES, axes, strict=True):
            _check_axis(axis, card.axis(kind), energy, card.projection)
    return _opened(
        histogram,
        np.array(mosaic.INCIDENT_ENERGIES),
        mosaic.volumes_from_picture,
        mosaic.picture_from_volumes,
    )


def _open_single(histogram: Histogram, card: Card, incident_energy: float | None) -> Volumes:
    places = card.projection.places(histogram.axes)
    _check_other_axes(histogram.axes, card, places)
    energy = _incident_energy(histogram, card, incident_energy)
    check_third(histogram, card.projection)
    for kind in AXES:
        place = places.get(kind)
        axis = integrated_axis(histogram, kind, card.projection) if place is None else place.axis
        _check_axis(axis, card.axis(kind), energy, card.projection)
    order = _order(places, card)
    present = [(place.position, place.flipped) for kind in order if (place := places.get(kind)) is not None]
    permutation = [position for position, _ in present if position is not None]
    permutation += [i for i in range(histogram.ndim) if i not in permutation]
    backwards = tuple(number for number, (_, flipped) in enumerate(present) if flipped)
    sizes = [_size(places, kind) for kind in order]
    moved = [histogram.shape[i] for i in permutation]
    if all(sizes[AXES.index(name)] == 1 for name in card.layout.spatial):
        along = " and ".join(card.projection.title(name) for name in card.layout.spatial)
        raise AxisError(
            f"The data have no more than one bin along {along}.",
            reason=f"Along it the model {card.name!r} translates.",
            fix="Cut the data with this axis, or use a model made for such cuts.",
            wrong="bins",
        )

    def close(volumes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.transpose(np.flip(volumes.reshape(moved), backwards), np.argsort(permutation))

    def opened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        turned: npt.NDArray[Any] = np.flip(np.transpose(array, permutation), backwards)
        return turned.reshape(1, *sizes)

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


def _size(places: Mapping[Slot, Place], kind: Slot) -> int:
    return places[kind].axis.size if kind in places else 1


def _order(places: Mapping[Slot, Place], card: Card) -> tuple[Slot, Slot, Slot]:
    """(h, k, E); a network that slides over h, but not over k, takes k with h integrated the same way."""
    swap = card.layout.takes_k_for_h and _size(places, "h") == 1 and _size(places, "k") > 1
    return ("k", "h", "energy") if swap else AXES


def _check_other_axes(axes: Sequence[Axis], card: Card, places: Mapping[Slot, Place]) -> None:
    used = {places[kind].position for kind in AXES if kind in places}
    others = [axis for i, axis in enumerate(axes) if i not in used]
    if not used or any(axis.size > 1 for axis in others):
        names = ", ".join(f"{axis.name!r} ({axis.size} bins, {axis.unit or 'no unit'})" for axis in axes)
        raise AxisError(
            f"The axes {names} are not those of the model.",
            reason=f"It takes {card.projection.words}, whatever they are called; others integrated.",
            fix="Cut or integrate the data to these axes (`exp2sim cut`), or load a picture of shape "
            "(240, 400).",
            wrong="axes",
        )


def check_third(histogram: Histogram, projection: Projection) -> None:
    """Raise `AxisError` where data are integrated over another range of the third direction.

    Data that do not tell it pass, as do those of a projection that asks for none.
    """
    place = projection.places(histogram.axes).get("l")
    axis = integrated_axis(histogram, "l", projection) if place is None else place.axis
    low, high = projection.over or (0.0, 0.0)
    if projection.over is None or axis is None:
        return
    if np.abs(axis.edges[[0, -1]] - (low, high)).max() > SAME_RANGE * (high - low):
        raise AxisError(
            f"The data are integrated over {projection.third_name} from {_limits(axis)}.",
            reason=f"The model takes {low:.4g} to {high:.4g}.",
            fix="Cut the data over this range, or use a model made for theirs.",
            wrong="bins",
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


def _check_axis(
    axis: Axis | None, rule: AcceptedAxis, incident_energy: float, projection: Projection
) -> None:
    if axis is None:
        if rule.integrated is None:
            raise AxisError(
                f"The data have no axis for {projection.title(rule.kind)}.",
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
        centre = axis.centres[0] / unit
        if len(rule.edges) == 2 and abs(centre - sum(rule.edges) / 2) > SAME_RANGE * rule.width:
            raise _wrong_bins(axis, "one bin from {}", axis.edges, unit, rule)
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


def _limits(axis: Axis) -> str:
    return f"{axis.edges[0]:.4g} to {axis.edges[-1]:.4g}"


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
    if rule.kind == "energy":
        return "meV"
    return usual_unit(rule.units[0]) if rule.units else "r.l.u."


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
