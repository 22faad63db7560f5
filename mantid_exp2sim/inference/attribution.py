"""Where in the data a classifier looks: a map of the bins, and a weight for each panel.

Butler et al., J. Phys.: Condens. Matter 33, 194006 (2021), §4.3, took class-activation maps and their mean
over each 40 × 40 panel. That network saw one picture, so a map of its last layer showed where in the picture
it looked. Here every panel is a channel: the last layer keeps h and k but no longer knows the panels. So the
map is taken at the input, as gradient × input of the score log K(class) − log K(next class); positive bins
speak for the class. A gradient says little of large changes, so each panel is also taken out, as if it had
not been measured: the ``occlusion`` of a panel is by how much the score falls without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim import mosaic
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats, Histogram
from mantid_exp2sim.histogram.history import with_history
from mantid_exp2sim.inference.classify import choose_kind, deconvolved, samples
from mantid_exp2sim.inference.history import history_entry
from mantid_exp2sim.inference.prepare import Prepared
from mantid_exp2sim.inference.translate import Progress
from mantid_exp2sim.inference.volumes import Volumes
from mantid_exp2sim.inference.worker import short_waits

if TYPE_CHECKING:
    import torch

    from mantid_exp2sim.networks.duq import Duq


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What a classifier looked at in one histogram.

    Parameters
    ----------
    name
        The class whose score it is.
    score
        log K(class) − log K(next class) of the whole data.
    map
        The data's own axes, mask and metadata, with the map as intensity: positive bins speak for the class.
    weights
        Mean of the positive part of the map over the measured bins of each panel, as shares that add up to 1,
        float64 (incident energies, energy bins); NaN in panels where nothing was measured.
    occlusion
        By how much the score falls without the panel, of the same shape.
    incident_energies, energies
        meV, (incident energies,) and, of the panels' centres, (incident energies, energy bins).
    """

    name: str
    score: float
    map: Histogram
    weights: Floats
    occlusion: Floats
    incident_energies: Floats
    energies: Floats

    def to_dict(self) -> dict[str, Any]:
        """All but the map, as JSON."""
        return {
            "class": self.name,
            "score": self.score,
            "incident_energies": self.incident_energies.tolist(),
            "energies": self.energies.tolist(),
            "weights": self.weights.tolist(),
            "occlusion": self.occlusion.tolist(),
        }


def explain(
    prepared: Prepared,
    data_kind: str = "auto",
    *,
    name: str | None = None,
    deconvolve: bool = False,
    progress: Progress | None = None,
) -> Attribution:
    """Say what a classifier looks at in a histogram.

    ``name`` is the class whose score is explained, by default that of the highest correlation; all else as in
    :func:`mantid_exp2sim.inference.classify.classify`.

    Raises
    ------
    Exp2SimError
        If the model has no such classifier or class, or does not take such data.
    """
    bundle, classes = prepared.bundle, prepared.bundle.card.classes
    kind = choose_kind(bundle.card, data_kind, deconvolve=deconvolve)
    if name is not None and name not in classes:
        raise Exp2SimError(
            f"The model {bundle.card.name!r} knows no {name!r}.",
            reason=f"It knows {', '.join(classes)}.",
            fix="Name one of these.",
        )
    data = deconvolved(prepared, progress) if deconvolve else prepared
    if progress is not None:
        progress(0, 1, "explain")
    networks, scaled, mask, places = samples(data, kind)
    import torch

    number = _likeliest(networks, scaled, mask) if name is None else classes.index(name)
    panels = panel_attention(networks, scaled, mask, torch.full((len(scaled),), number, device=scaled.device))
    bins, occlusion = (part.reshape(-1, *part.shape[2:])[places] for part in (panels.bins, panels.occlusion))
    volumes = data.volumes
    measured = ~volumes.mask
    options = {"data_kind": kind, "class": classes[number], "factor": data.factor}
    entry = history_entry(bundle, "explain", None, options)
    result = data.histogram.replace(
        intensity=volumes.close(np.where(measured, bins, np.nan)),
        variance=volumes.close(np.where(measured, 0.0, np.nan)),
        metadata={
            **with_history(data.histogram.metadata, entry),
            "intensity_unit": "gradient × input",
            "signed": True,
        },
    )
    return Attribution(
        name=classes[number],
        score=float(panels.score[~mask.flatten(1).all(1).cpu().numpy()].mean()),
        map=result,
        weights=shares(bins, measured),
        occlusion=np.where(measured.any(axis=(1, 2)), occlusion, np.nan),
        incident_energies=volumes.incident_energies,
        energies=_centres(data.histogram, volumes),
    )


def _centres(data: Histogram, volumes: Volumes) -> Floats:
    """Energy transfer of the panels' centres in meV, (incident energies, energy bins)."""
    if mosaic.is_mosaic(data):
        fractions = 0.5 * (mosaic.WINDOW_EDGES[1:] + mosaic.WINDOW_EDGES[:-1])
        return np.outer(volumes.incident_energies, fractions)
    position = data.find_axis("energy")
    bins = volumes.intensity.shape[3]
    centres = np.zeros(bins) if position is None else data.axes[position].centres
    return np.broadcast_to(centres, (len(volumes.incident_energies), bins)).copy()


@dataclass(frozen=True, slots=True, eq=False)
class Panels:
    """Of samples (S, N, h, k, E): ``bins`` of that shape, ``occlusion`` (S, N, E) and ``score`` (S,)."""

    bins: Floats
    occlusion: Floats
    score: Floats


def panel_attention(
    members: Sequence[Duq], x: torch.Tensor, mask: torch.Tensor, classes: torch.Tensor, *, batch: int = 32
) -> Panels:
    """Map and occlusion of samples (S, N, h, k, E), scaled, 0 where ``mask`` (the same shape) is True.

    ``classes`` (S,): the number of the class whose score is looked at, the mean over the members.
    """
    import torch

    x = x.detach().clone().requires_grad_()
    score = _score(members, x, mask, classes)
    gradient = torch.autograd.grad(score.sum(), x)[0]
    bins = (gradient * x).detach().cpu().double().numpy()
    whole = score.detach().cpu()
    without = torch.zeros(x.shape[0], x.shape[1], x.shape[4])
    places = [(n, e) for n in range(x.shape[1]) for e in range(x.shape[4])]
    with short_waits(), torch.inference_mode():
        for sample in range(len(x)):
            for first in range(0, len(places), batch):
                part = places[first : first + batch]
                hidden = mask[sample].repeat(len(part), 1, 1, 1, 1)
                for row, (n, e) in enumerate(part):
                    hidden[row, n, :, :, e] = True
                left = torch.where(hidden, 0.0, x[sample].detach())
                scores = _score(members, left, hidden, classes[sample].expand(len(part)))
                for (n, e), value in zip(part, scores.tolist(), strict=True):
                    without[sample, n, e] = whole[sample] - value
    return Panels(bins, without.double().numpy(), whole.double().numpy())


def _score(
    members: Sequence[Duq], x: torch.Tensor, mask: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """log K of a class less the largest of the others (B,); log K alone where there is only one."""
    import torch

    from mantid_exp2sim.networks.duq import stack_panels

    stacked = stack_panels(x, mask)
    logs = torch.stack(
        [-network.distances(network.embed(stacked)) / (2 * network.length_scale**2) for network in members]
    ).mean(0)
    score = logs.gather(1, classes[:, None])[:, 0]
    if logs.shape[1] == 1:
        return score
    others = logs.scatter(1, classes[:, None], -float("inf"))
    return score - others.max(1).values


def _likeliest(members: Sequence[Duq], x: torch.Tensor, mask: torch.Tensor) -> int:
    import torch

    from mantid_exp2sim.networks.duq import stack_panels

    with torch.inference_mode():
        measured = ~mask.flatten(1).all(1)
        stacked = stack_panels(x, mask)[measured]
        return int(torch.stack([network(stacked) for network in members]).mean((0, 1)).argmax())


def shares(bins: Floats, measured: Booleans) -> Floats:
    """Average the positive part of a map (N, h, k, E) over the measured bins of panels, as shares (N, E).

    NaN where a panel has none.

    >>> ones = np.ones((1, 2, 2, 2))
    >>> shares(ones * [1.0, 3.0], ones > 0).tolist()
    [[0.25, 0.75]]
    """
    count = measured.sum(axis=(1, 2))
    means = (np.maximum(bins, 0) * measured).sum(axis=(1, 2)) / np.maximum(count, 1)
    weights: Floats = np.where(count > 0, means / max(means.sum(), 1e-300), np.nan)
    return weights
