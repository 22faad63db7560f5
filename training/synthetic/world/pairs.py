"""Pairs of volumes with and without the resolution, of made-up materials: the same from a seed again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.simulation.excitation_model import FunctionModel
from mantid_exp2sim.simulation.local_blur import Singles
from mantid_exp2sim.simulation.measurement import solve
from mantid_exp2sim.simulation.options import SpinWaves
from mantid_exp2sim.simulation.spectrum import MaterialSpinWaves
from mantid_exp2sim.storage.atomic import atomic_path
from mantid_exp2sim.training.synthetic.world.magnets import draw_magnet
from mantid_exp2sim.training.synthetic.world.settings import WorldSetting, draw_setting
from mantid_exp2sim.training.synthetic.world.sheets import draw_sheets

PAIRS = 12
"""Of one setting: what depends on the setting alone is computed once."""
SHEETS = 0.1
"""Share of the pairs that are no magnets."""
GRIDS = {1: 1.0, 2: 0.8}
"""Share of the points of the grid, by the number of modes; the more there are, the longer it takes."""
FEW = 0.6
SHEETS_GRID = 26
"""At most, for what is no magnet: it takes longer."""
BESIDE = 0.05
"""Share of the magnets with another excitation beside them."""
LEAST = 0.01
"""Share of the measured bins that have signal at least."""
TRIES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Volumes of one setting, (n, nh, nk, nE) float32 of mean 1 over the measured bins, and their kinds."""

    number: int
    setting: WorldSetting
    convolved: Singles
    integrated: Singles
    kinds: tuple[str, ...]


def draw_pairs(seed: int, number: int, count: int = PAIRS) -> Pairs:
    """Draw the pairs of the setting of a number; the same arguments give the same pairs."""
    setting = draw_setting(seed, number)
    pairs = [_draw_pair(np.random.default_rng([seed, number, 1 + i]), setting) for i in range(count)]
    convolved, integrated, kinds = zip(*pairs, strict=True)
    return Pairs(number, setting, np.stack(convolved), np.stack(integrated), kinds)


def _draw_pair(rng: np.random.Generator, setting: WorldSetting) -> tuple[Singles, Singles, str]:
    for _ in range(TRIES):
        try:
            kind, parts = _draw_waves(rng, setting)
            convolved, integrated = (
                sum(share * waves.volume(setting.binning, name) for share, waves in parts)
                for name in ("convolved", "integrated")
            )
        except Exp2SimError:  # an order that is no ground state
            continue
        measured = ~setting.mask
        mean = float(np.asarray(convolved)[measured].mean())
        sharp = np.asarray(integrated)[measured]
        if not mean > 0 or (sharp > 0.05 * mean).mean() < LEAST or not sharp.mean() > 0.2 * mean:
            continue
        scale = 1 / mean
        return np.asarray(scale * convolved, np.float32), np.asarray(scale * integrated, np.float32), kind
    return _draw_pair(np.random.default_rng(rng.integers(2**63)), setting)


def _draw_waves(rng: np.random.Generator, setting: WorldSetting) -> tuple[str, list[tuple[float, SpinWaves]]]:
    """What is seen, with shares: a magnet, sheets, or both."""
    ends = setting.binning.energy_edges
    top = float(rng.uniform(0.35, 1.15)) * float(ends[-1])
    if rng.random() < SHEETS:
        sheets = draw_sheets(rng, setting.lattice, setting.view, top)
        return sheets.name, [(1.0, _solved(sheets, setting))]
    magnet = draw_magnet(rng, setting.lattice, setting.view)
    first = solve(magnet, magnet.values, setting.options)
    assert isinstance(first, MaterialSpinWaves)
    if not all(first.is_flat(twin) for twin in first.twins):
        raise Exp2SimError("Energies change along the beam.", fix="Draw another magnet.")
    energies, _ = first.solve(np.random.default_rng(0).uniform(-3, 3, (64, 3)))
    options = replace(setting.options, grid=max(int(GRIDS.get(first.count, FEW) * setting.options.grid), 16))
    waves = solve(magnet, np.array(magnet.values) * top / float(energies.max()), options)
    if rng.random() >= BESIDE:
        return magnet.name, [(1.0, waves)]
    sheets = draw_sheets(rng, setting.lattice, setting.view, float(rng.uniform(0.3, 1.0)) * float(ends[-1]))
    return f"{magnet.name} and {sheets.name}", _balanced(rng, setting, waves, _solved(sheets, setting))


def _solved(sheets: FunctionModel, setting: WorldSetting) -> SpinWaves:
    options = replace(setting.options, grid=min(setting.options.grid, SHEETS_GRID))
    return solve(sheets, [sheets.parameters["top"].value], options)


def _balanced(
    rng: np.random.Generator, setting: WorldSetting, waves: SpinWaves, beside: SpinWaves
) -> list[tuple[float, SpinWaves]]:
    """Shares by which the second has 0.1 to 0.6 of the total of the first."""
    totals = [part.volume(setting.binning, "integrated").sum() for part in (waves, beside)]
    return [(1.0, waves), (float(rng.uniform(0.1, 0.6) * totals[0] / max(totals[1], 1e-30)), beside)]


def cached_pairs(folder: Path, seed: int, number: int, count: int = PAIRS) -> Pairs:
    """Read the pairs of a number from a folder, or draw them and write them there."""
    path = folder / f"{seed}-{number:05d}.npz"
    if path.is_file():
        with np.load(path) as held:
            kinds = tuple(held["kinds"].tolist())
            return Pairs(number, draw_setting(seed, number), held["convolved"], held["integrated"], kinds)
    pairs = draw_pairs(seed, number, count)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, convolved=pairs.convolved, integrated=pairs.integrated, kinds=np.array(pairs.kinds))
    return pairs
