"""SpinW's results in MATLAB files: what ``spinwave`` and ``sw_egrid`` return, versions 5 and 7.3.

A result of ``sw_egrid`` (or ``powspec``) holds ``swConv``, the sums of the strengths in the bins ``Evect``.
The intensity is their density: the sum over the width of the bin (per meV), which does not depend on the
bins. A result of ``spinwave`` has lines instead of bins; they are summed into bins as ``sw_egrid`` does by
default: the part of the correlations across Q, 500 bins up to 1.1 times the highest mode, at zero
temperature, twins by volume. Modes below 5e-4 meV or stronger than 1e6 are rounding on a Bragg point and left
out; a point with an imaginary mode is unknown.

Points in reciprocal space that form a product grid become its axes, in the order h, k, l; others become one
axis ``path`` of the distance from the first point, with the points in the metadata. The variance is 0: a
calculation has none. The field ``obj`` is a MATLAB object and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Floats, Histogram
from mantid_exp2sim.io.axes import edges_of, energy_axis
from mantid_exp2sim.io.files import reading
from mantid_exp2sim.io.limits import Budget, packed_budget
from mantid_exp2sim.io.matlab import fix, read_variables, structs
from mantid_exp2sim.io.matlab.values import Cell
from mantid_exp2sim.io.spinw.fields import points_last, read_array, sum_twins, wrong
from mantid_exp2sim.io.spinw.lines import read_lines
from mantid_exp2sim.io.spinw.points import make_histogram

_TEST_FIELDS = ("omega", "Sab", "swConv", "swInt")


def read(path: Path, *, is_hdf5: bool = False, twins: Sequence[float] | None = None) -> Histogram:
    """Read a result of SpinW, or an image of Horace that was saved as numbers.

    Parameters
    ----------
    path
        The file.
    is_hdf5
        Whether it is of version 7.3.
    twins
        Volumes of the twins, in their order; those of the file where it tells them, else equal ones.

    Returns
    -------
    Histogram
        Axes in reciprocal lattice units (or |Q| or a path in Å⁻¹) and the energy in meV;
        intensities per meV.

    Raises
    ------
    Exp2SimError
        If the file is damaged, or holds no such result, or several, or other twins.
    """
    variables = read_variables(path, is_hdf5=is_hdf5)
    with reading(path, ValueError, IndexError, np.linalg.LinAlgError, OverflowError):
        return from_variables(variables, twins=twins, budget=packed_budget(path))


def from_variables(
    variables: dict[str, Any], *, twins: Sequence[float] | None = None, budget: Budget | None = None
) -> Histogram:
    """Make a histogram of the variables of a MATLAB file; `budget` bounds the memory that it takes.

    Examples
    --------
    >>> result = {"hkl": np.array([[0.0, 0.5, 1.0], [0, 0, 0], [0, 0, 0]]),
    ...           "swConv": np.ones((2, 3)), "Evect": np.array([0.0, 1.0, 1.5])}
    >>> h = from_variables({"spec": result})
    >>> [axis.name for axis in h.axes], h.intensity[0]
    (['[H,0,0]', 'DeltaE'], array([1., 2.]))
    """
    choice = _choose(variables)
    if choice is None:
        from mantid_exp2sim.io.horace.struct import find

        image = find(variables)
        if image is not None and twins is None:
            return image
        reason, line = fix(variables)
        raise Exp2SimError("The MATLAB file holds no spectrum.", reason=reason, fix=line)
    name, spectrum = choice
    metadata: dict[str, Any] = {"format": "spinw"}
    if name:
        metadata["variable"] = name
    if "swConv" in spectrum:
        return _binned(spectrum, twins, metadata)
    return read_lines(spectrum, twins, metadata, budget or Budget())


def notes_of(histogram: Histogram) -> tuple[str, ...]:
    """Return what had to be assumed of a result of SpinW, or left out; nothing for other data.

    >>> from mantid_exp2sim.histogram import Axis
    >>> metadata = {"format": "spinw", "left_out": ["energies: the file has no Evect"]}
    >>> notes_of(Histogram.from_arrays([1.0], [Axis("point", np.arange(2.0))], metadata=metadata))
    ('energies: the file has no Evect',)
    """
    notes = histogram.metadata.get("left_out")
    is_spinw = histogram.metadata.get("format") == "spinw" and isinstance(notes, list)
    return tuple(str(note) for note in notes or ()) if is_spinw else ()


def _choose(variables: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The one result in a file; one of ``sw_egrid`` goes before one of ``spinwave``."""
    named = [(name, _named(struct)) for name, struct in structs(variables)]
    binned = [(name, struct) for name, struct in named if "swConv" in struct]
    lines = [(name, s) for name, s in named if "omega" in s and ("Sperp" in s or "Sab" in s) and "hkl" in s]
    spectra = binned or lines
    if len(spectra) > 1:
        names = ", ".join(name or "the variables themselves" for name, _ in spectra[:6])
        raise Exp2SimError(
            f"The file holds {len(spectra)} spectra: {names}.",
            reason="One is taken from a file.",
            fix=f"In MATLAB: save('spec.mat', '{spectra[0][0].split('.')[0] or 'spec'}').",
        )
    return spectra[0] if spectra else None


def _named(struct: dict[str, Any]) -> dict[str, Any]:
    """SpinW's own test files keep the fields of a result as a cell without names."""
    spec = struct.get("spec")
    if isinstance(spec, Cell) and len(spec.items) == len(_TEST_FIELDS):
        return {**dict(zip(_TEST_FIELDS, spec.items, strict=True)), "obj": struct.get("input")}
    return struct


# ---------------------------------------------------------------------------------------------- sw_egrid


def _binned(spectrum: dict[str, Any], twins: Sequence[float] | None, metadata: dict[str, Any]) -> Histogram:
    values = sum_twins(spectrum, "swConv", twins, metadata)
    if values.ndim < 2 or values.size == 0:
        raise wrong(f"swConv is of shape {values.shape}, not (energies, points).")
    values = points_last(values, 1)
    if isinstance(spectrum.get("component"), str):
        metadata["component"] = spectrum["component"]
    edges = _evect(spectrum, values.shape[0])
    if edges is None:
        metadata.setdefault("left_out", []).append("energies: the file has no Evect; sums in bins")
        last = Axis("energy bin", np.arange(values.shape[0] + 1) + 0.5)
    else:
        last = energy_axis(edges)
    return make_histogram(spectrum, values.T, last, metadata)


def _evect(spectrum: dict[str, Any], size: int) -> Floats | None:
    if "Evect" not in spectrum:
        return None
    edges = read_array(spectrum, "Evect").real.reshape(-1)
    if edges.size == size:  # the centres, as old versions of SpinW keep them
        return edges_of(edges)
    if edges.size != size + 1:
        raise wrong(f"Evect has {edges.size} numbers and swConv {size} energies.")
    return edges
