"""The bins of a data set, and whether a model takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Histogram, volume_histogram
from mantid_exp2sim.inference.volumes import open_volumes
from mantid_exp2sim.training.datasets.description import BinEdges

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle
    from mantid_exp2sim.training.datasets.sampler import DataSet


def dataset_edges(data: DataSet) -> BinEdges | None:
    """Edges of ``h``, ``k`` (r.l.u.) and ``energy_fraction`` (over Ei), if the data set tells them."""
    return data.description.bin_edges(float(data.energies[0]))


def volume(
    data: DataSet,
    edges: BinEdges,
    incident_energy: float,
    intensity: Floats,
    variance: Floats | None = None,
    mask: Booleans | None = None,
    *,
    metadata: Mapping[str, Any],
) -> Histogram:
    """Make a histogram of a volume (h, k, E) of a data set; ``incident_energy`` in meV."""
    ends = edges["h"], edges["k"], edges["energy_fraction"] * incident_energy
    return volume_histogram(data.description.projection, ends, intensity, variance, mask, metadata=metadata)


def require_bins(model: Bundle, data: DataSet) -> None:
    """Refuse a data set whose volumes the model would not take as files; one that tells no edges passes.

    Raises `Exp2SimError` if bins or incident energies are not those on the model's card.
    """
    edges = dataset_edges(data)
    if edges is None:
        return
    for energy in data.energies.tolist():
        ones = np.ones(data.description.shape[1:])
        try:
            histogram = volume(data, edges, energy, ones, metadata={"incident_energy": energy})
            open_volumes(histogram, model.card)
        except Exp2SimError as error:
            raise Exp2SimError(
                f"The data set {data.folder.name!r} is not of the model's bins: {error.summary}",
                reason=error.reason,
                fix="Take a data set like the one that the model was trained on.",
            ) from error
