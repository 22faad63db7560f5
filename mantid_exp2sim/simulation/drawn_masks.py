"""Masks of measurements that were made with other detectors: shifted, with dropped tubes, another layout."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.simulation.banks import Bank
from mantid_exp2sim.simulation.instrument import MAPS, Instrument
from mantid_exp2sim.simulation.volume_bins import VolumeBins

MaskKind = Literal["own", "none", "measured", "shifted", "tubes", "layout"]
"""``own``: as the data are. ``none``: all is measured that was calculated. ``measured``: the mask of a
measurement. ``shifted``: the own one, moved by up to two bins in h and k. ``tubes``: the own one and up to
six packs of tubes less. ``layout``: banks at random places."""
LEAST = 0.3
"""Share of the bins that a drawn layout measures at least."""
MOST_BANKS = 300
"""So many banks cover whatever detectors can reach: bins that they do not reach have no such layout."""
_HEIGHT = 100.0


def draw_mask(
    rng: np.random.Generator,
    kind: MaskKind,
    own: Booleans,
    bins: VolumeBins,
    incident_energies: Floats,
    measured: Booleans | None = None,
) -> Booleans:
    """Draw a mask (G, h, k, E), True = not measured, for volumes at ``incident_energies`` (G,) in meV.

    ``own`` and ``measured`` have the shape of the result. Raises `Exp2SimError` where the kind cannot be had.
    """
    if kind == "none":
        return np.zeros_like(own)
    if kind == "measured":
        if measured is None:
            raise Exp2SimError(
                "The measured mask is not given.",
                reason='The conditions of measurement ask for the mask "measured".',
                fix="Give the mask of a measurement, or leave this kind of mask out.",
            )
        return measured
    if kind == "shifted":
        return _shifted(own, *rng.integers(-2, 3, 2).tolist())
    if kind == "tubes":
        return own | _reached(_packs(rng), bins, incident_energies)
    if kind == "layout":
        return _layout(rng, bins, incident_energies)
    return own


def _shifted(mask: Booleans, by_h: int, by_k: int) -> Booleans:
    moved = np.roll(mask, (by_h, by_k), axis=(1, 2))
    for axis, by in ((1, by_h), (2, by_k)):
        edge = [slice(None)] * 4
        edge[axis] = slice(0, by) if by >= 0 else slice(by, None)
        moved[tuple(edge)] = True
    return moved


def _reached(banks: list[Bank], bins: VolumeBins, incident_energies: Floats) -> Booleans:
    instrument: Instrument = MAPS.model_copy(update={"banks": tuple(banks)})
    return np.stack([bins.reached_by(instrument, float(energy)) for energy in incident_energies])


def _packs(rng: np.random.Generator) -> list[Bank]:
    """One to six packs of tubes of 1 to 5 degrees, as high as the detectors."""
    packs = []
    for _ in range(int(rng.integers(1, 7))):
        angle, width = rng.uniform(-60, 60), rng.uniform(1, 5)
        packs.append(Bank(horizontal=(angle - width / 2, angle + width / 2), height=(-_HEIGHT, _HEIGHT)))
    return packs


def _layout(rng: np.random.Generator, bins: VolumeBins, incident_energies: Floats) -> Booleans:
    """The gaps between banks that are drawn until enough is measured."""
    banks: list[Bank] = []
    share = 0.0
    while len(banks) < MOST_BANKS:
        angle, width = rng.uniform(-60, 60), rng.uniform(6, 30)
        height, extent = rng.uniform(-1.5, 1.5), rng.uniform(0.5, 3)
        banks.append(
            Bank(
                horizontal=(angle - width / 2, angle + width / 2),
                height=(height - extent / 2, height + extent / 2),
            )
        )
        hit = _reached(banks, bins, incident_energies)
        share = float(hit.mean())
        if share >= LEAST:
            return ~hit
    raise Exp2SimError(
        f"No layout of detectors reaches {100 * LEAST:.0f} % of the bins.",
        reason=f"{MOST_BANKS} banks at random places reach {100 * share:.0f} %.",
        fix='Leave the kind of mask "layout" out for these bins.',
    )
