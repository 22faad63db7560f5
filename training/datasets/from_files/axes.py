"""The model's axes, and files brought onto them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import HKL, Axis, Floats, Histogram, Projection
from mantid_exp2sim.histogram.rebinning import Binned, rebin, snap
from mantid_exp2sim.inference.volumes import SAME_RANGE, check_third, check_words
from mantid_exp2sim.io.axes import integrated_axis
from mantid_exp2sim.io.spinw import notes_of
from mantid_exp2sim.io.spinw.points import PATH
from mantid_exp2sim.model.card import AcceptedAxis, axis_words
from mantid_exp2sim.networks.layout import AXES
from mantid_exp2sim.training.datasets.description import MAKE_AGAIN, DatasetDescription
from mantid_exp2sim.training.datasets.from_files.recipe import AxesRecipe, RebinRecipe

Kind = Literal["h", "k", "energy"]


@dataclass(frozen=True, slots=True, eq=False)
class ModelAxis:
    """One axis that a model is trained on: edges in r.l.u., meV or, if ``relative``, E/Ei."""

    kind: Kind
    edges: Floats
    relative: bool = False
    integrated: bool = False
    missing: bool = False

    def at(self, incident_energy: float) -> Floats:
        """Edges in r.l.u. or meV."""
        return self.edges * incident_energy if self.relative else self.edges

    @property
    def width(self) -> float:
        """Mean bin width, in the unit of the edges."""
        return float(np.diff(self.edges).mean())

    def rule(self, projection: Projection) -> AcceptedAxis:
        """What a model that was trained on this axis asks of a file."""
        return AcceptedAxis(
            kind=self.kind,
            width=self.width,
            relative_to_incident_energy=self.relative,
            edges=tuple(float(edge) for edge in self.edges) if len(self.edges) <= 513 else (),
            integrated=(self.width, self.width) if self.integrated else None,
            **axis_words(self.kind, projection),
        )

    def covering(self, low: float, high: float) -> ModelAxis:
        """The axis with more or fewer bins of the same width and phase, from ``low`` to ``high``.

        >>> axis = ModelAxis("h", np.array([0.0, 0.5, 1.0]))
        >>> axis.covering(-0.6, 1.4).edges.tolist()
        [-0.5, 0.0, 0.5, 1.0]
        """
        if self.integrated:
            return self
        start = np.ceil((low - self.edges[0]) / self.width - 1e-6)
        stop = np.floor((high - self.edges[0]) / self.width + 1e-6)
        edges = self.edges[0] + self.width * np.arange(start, max(stop, start + 1) + 1)
        return dataclasses.replace(self, edges=edges)


ModelAxes = tuple[ModelAxis, ModelAxis, ModelAxis]


def axes_of_recipe(recipe: AxesRecipe) -> ModelAxes:
    """The axes (h, k, E) of a recipe."""
    h, k, energy = (
        ModelAxis(
            kind,  # type: ignore[arg-type]
            np.linspace(*axis.limits, axis.size + 1),
            relative=getattr(axis, "relative_to_incident_energy", False),
            integrated=axis.integrated is not None,
            missing=axis.missing,
        )
        for kind, axis in zip(AXES, (recipe.h, recipe.k, recipe.energy), strict=True)
    )
    return h, k, energy


def axes_of_description(description: DatasetDescription, where: str) -> ModelAxes:
    """Tell the axes of a data set, of a mosaic without ``axes`` from its edges alone."""
    rules = {rule.kind: rule for rule in description.axes}
    edges = description.edges
    axes = []
    for kind in AXES:
        rule = rules.get(kind)
        values = (rule and rule.edges) or edges.get(kind) or edges.get(f"{kind}_fraction")
        if not values:
            raise Exp2SimError(
                f"{where} does not say where the bins of its axis {kind} lie.",
                reason="Files cannot be brought onto its axes without.",
                fix=MAKE_AGAIN,
            )
        axis = ModelAxis(
            kind,
            np.asarray(values, dtype=np.float64),
            relative=kind == "energy" if rule is None else rule.relative_to_incident_energy,
            integrated=len(values) == 2 and rule is not None and rule.integrated is not None,
        )
        axes.append(axis)
    h, k, energy = axes
    return h, k, energy


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One volume (h, k, E) on the model's axes; ``exact`` where no bin had to be rebinned."""

    binned: Binned
    incident_energy: float
    exact: bool
    notes: tuple[str, ...] = ()
    """What the reader had to assume, or left out."""


def volumes_on(
    histogram: Histogram,
    axes: ModelAxes,
    rules: RebinRecipe,
    *,
    projection: Projection = HKL,
    incident_energy: float | None = None,
    values: str = "mean",
    extend: tuple[str, ...] = (),
) -> list[Volume]:
    """The volumes of a histogram on the model's axes: six of a mosaic, else one.

    ``incident_energy`` (meV) counts where the histogram has none. Axes named in ``extend`` keep their bins'
    width and phase but reach as far as the histogram does.

    Raises
    ------
    Exp2SimError
        If an axis is missing, of another unit, has coarser bins or other ranges, or little was measured.
    """
    if mosaic.is_mosaic(histogram):
        parts = mosaic.split(histogram)
        options: dict[str, Any] = {"projection": projection, "values": values, "extend": extend}
        return [volumes_on(part, axes, rules, **options)[0] for part in parts]
    places = projection.places(histogram.axes)
    present = [places[kind] for kind in AXES if kind in places]
    _check_others(histogram, {place.position for place in present}, projection)
    check_third(histogram, projection)
    energy = _incident_energy(histogram, incident_energy)
    order = [place.position for place in present if place.position is not None]
    order += [i for i in range(histogram.ndim) if i not in order]
    backwards = tuple(number for number, place in enumerate(present) if place.flipped)
    shape = tuple(places[kind].axis.size if kind in places else 1 for kind in AXES)
    arrays = [
        np.flip(np.transpose(array, order), backwards).reshape(shape)
        for array in (histogram.intensity, histogram.variance, histogram.mask)
    ]
    source, target = [], []
    for axis in axes:
        source_axis = places[axis.kind].axis if axis.kind in places else None
        if axis.kind in extend and source_axis is not None:
            unit = energy if axis.relative else 1.0
            axis = axis.covering(source_axis.edges[0] / unit, source_axis.edges[-1] / unit)
        edges = axis.at(energy)
        source.append(_source_edges(histogram, source_axis, axis, edges, rules, projection))
        target.append(edges)
    exact = all(_contains(s, t) for s, t in zip(source, target, strict=True))
    if not exact and not rules.allowed:
        raise Exp2SimError(
            "Its bins are not the model's.",
            reason="The recipe does not allow rebinning.",
            fix="Set allowed = true in [rebin], or bring them onto the model's bins (`exp2sim rebin`).",
        )
    binned = rebin(
        np.asarray(arrays[0], dtype=np.float64),
        np.asarray(arrays[1], dtype=np.float64),
        np.asarray(arrays[2], dtype=np.bool_),
        source,
        target,
        minimum_measured=rules.minimum_measured,
        values=values,
    )
    _check_coverage(binned, rules)
    return [Volume(binned, energy, exact, notes_of(histogram))]


def _incident_energy(histogram: Histogram, default: float | None) -> float:
    value = histogram.metadata.get("incident_energy", default)
    if value is None:
        raise Exp2SimError(
            "The file does not tell the incident energy.",
            reason="A sample needs it.",
            fix="Set incident_energy (meV) for these files.",
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e5:
        raise Exp2SimError(
            f"Its incident energy {value!r} is no positive number of meV.", fix="Correct it in the file."
        )
    return float(value)


def _check_others(histogram: Histogram, used: set[int | None], projection: Projection) -> None:
    others = [axis for i, axis in enumerate(histogram.axes) if i not in used and axis.size > 1]
    if others:
        names = ", ".join(f"{axis.name!r} ({axis.size} bins, {axis.unit or 'no unit'})" for axis in others)
        if any(axis.name == PATH for axis in others):
            raise Exp2SimError(
                f"Its points are a path through reciprocal space: {names}.",
                reason=f"The recipe takes {projection.words}.",
                fix="Calculate on a grid, in MATLAB: spec = sw_egrid(model.spinwave(sw_qgrid('ubin', "
                "[-1 0.05 1], 'vbin', [-1 0.05 1]))).",
            )
        powder = any(axis.kind == "modQ" for axis in others) and projection == HKL
        raise Exp2SimError(
            f"It has the axes {names}.",
            reason=f"The recipe takes {projection.words}.",
            fix="For NXSPE set lattice = [a, b]; else cut along h and k."
            if powder
            else "Cut or integrate the data to these axes (`exp2sim cut`), or name theirs in [projection].",
        )


def _source_edges(
    histogram: Histogram,
    source: Axis | None,
    axis: ModelAxis,
    target: Floats,
    rules: RebinRecipe,
    projection: Projection,
) -> Floats:
    """Edges of a file's axis, checked against what the model takes."""
    if source is None:
        _check_missing(histogram, axis, target, projection)
        return target
    check_words(source, axis.rule(projection))
    width = float(np.diff(target).mean())
    slack = rules.tolerance * width
    edges = snap(source.edges, target, slack)
    inside = (edges[1:] > target[0] + slack) & (edges[:-1] < target[-1] - slack)
    if not inside.any():
        raise Exp2SimError(
            f"Its axis {source.name!r} goes from {edges[0]:.4g} to {edges[-1]:.4g} {source.unit}.",
            reason=f"The model's goes from {target[0]:.4g} to {target[-1]:.4g}: they have no bin in common.",
            fix="Cut the data over the model's range, or change the range in the recipe.",
        )
    widest = float(np.diff(edges)[inside].max())
    if widest > width + 2 * slack:
        raise Exp2SimError(
            f"Its axis {source.name!r} has bins up to {widest:.4g} {source.unit} wide.",
            reason=f"The model's are {width:.4g} wide; finer bins cannot be made from coarser ones.",
            fix="Bin the data finer from the events, or take wider bins in the recipe.",
        )
    return edges


def _check_missing(histogram: Histogram, axis: ModelAxis, target: Floats, projection: Projection) -> None:
    source, title = integrated_axis(histogram, axis.kind, projection), projection.title(axis.kind)
    if axis.integrated and source is not None:
        limits, slack = source.edges, SAME_RANGE * (target[-1] - target[0])
        if abs(limits[0] - target[0]) <= slack and abs(limits[1] - target[-1]) <= slack:
            return
        raise Exp2SimError(
            f"It is integrated over {title} from {limits[0]:.4g} to {limits[1]:.4g}.",
            reason=f"The model's data are integrated from {target[0]:.4g} to {target[-1]:.4g}.",
            fix="Cut the data over the model's range (`exp2sim cut`).",
        )
    if axis.integrated and axis.missing:
        return
    raise Exp2SimError(
        f"It has no axis for {title}.",
        reason="The model's data have one."
        if not axis.integrated
        else "It does not say over which range it was integrated.",
        fix=f"Cut the data with this axis{', or set missing = true for it' if axis.integrated else ''}.",
    )


def _contains(source: Floats, target: Floats) -> bool:
    """Whether every bin that reaches into the target's range is one of the target's."""
    inner = source[(source >= target[0]) & (source <= target[-1])]
    outer = target[(target >= source[0]) & (target <= source[-1])]
    return bool(np.isin(inner, target).all() and np.isin(outer, source).all())


def _check_coverage(binned: Binned, rules: RebinRecipe) -> None:
    covered = 1 - float(binned.mask.mean())
    if covered <= 0 or covered < rules.minimum_coverage:
        raise Exp2SimError(
            f"Only {100 * covered:.2g} % of the model's bins were measured.",
            reason=f"The recipe asks for {100 * rules.minimum_coverage:g} % and more than none.",
            fix="Change the ranges of [axes], or minimum_measured and minimum_coverage in [rebin].",
        )
