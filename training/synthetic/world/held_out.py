"""Families of magnets that the world never draws: they tell what the network does with what is new to it.

Kagome and honeycomb lattices, the antiferromagnet on the square lattice, and the half-doped manganite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mantid_exp2sim.histogram import CELL
from mantid_exp2sim.simulation.binning import Binning
from mantid_exp2sim.simulation.instrument import load_instrument
from mantid_exp2sim.simulation.manganite import BEST_FIT, ModelName
from mantid_exp2sim.simulation.material import Description, Lattice, View
from mantid_exp2sim.simulation.measurement import solve
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.spectrum import MaterialSpinWaves
from mantid_exp2sim.training.synthetic.world.settings import WorldSetting

HEXAGONAL_VIEW = {"horizontal": [1, 0, 0], "vertical": [-0.5, 1, 0]}
MANGANITE_TOP = 85.0
"""meV, about where its bands end."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A material of a family: the name of a built-in model or a description, with its constants in meV."""

    name: str
    family: str
    model: ModelName | Description
    constants: tuple[float, ...]

    @property
    def top(self) -> float:
        """The highest energy in meV."""
        if isinstance(self.model, str):
            return MANGANITE_TOP * self.constants[0] / float(BEST_FIT[self.model][0])
        waves = solve(self.model, self.constants, Options())
        assert isinstance(waves, MaterialSpinWaves)
        return float(waves.solve(np.random.default_rng(0).uniform(-3, 3, (400, 3)))[0].max())


def _description(name: str, lattice: dict[str, float], sites: Any, bonds: Any, **more: Any) -> Description:
    parameters: dict[str, Any] = {bond["parameter"]: {"value": 0.0} for bond in bonds}
    parameters |= {term["parameter"]: {"value": 0.0} for term in more.get("anisotropy", ())}
    return Description.model_validate(
        {"name": name, "lattice": lattice, "sites": sites, "bonds": bonds, "parameters": parameters, **more}
    )


def _site(name: str, positions: Any, direction: Any, *, ion: str, spin: float) -> dict[str, Any]:
    return {"name": name, "positions": positions, "direction": direction, "ion": ion, "spin": spin}


def kagome(*, ion: str = "Fe3+", spin: float = 2.5) -> Description:
    """Return the kagome ferromagnet with two shells and an easy axis: J1, J2, D."""
    positions = [[0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0]]
    return _description(
        "kagome ferromagnet",
        {"a": 6.5, "b": 6.5, "c": 14.0, "gamma": 120.0},
        [_site("M", positions, [0, 0, 1], ion=ion, spin=spin)],
        [{"parameter": "J1", "shell": 1}, {"parameter": "J2", "shell": 2}],
        anisotropy=[{"parameter": "D", "axis": [0, 0, 1]}],
        view=HEXAGONAL_VIEW,
    )


def honeycomb(*, antiparallel: bool, ion: str = "Mn2+", spin: float = 2.5) -> Description:
    """Return the honeycomb lattice, ferromagnetic or of the Néel order: J1, J2, J3, D."""
    second = [0, 0, -1] if antiparallel else [0, 0, 1]
    return _description(
        f"honeycomb {'anti' if antiparallel else ''}ferromagnet",
        {"a": 6.0, "b": 6.0, "c": 14.0, "gamma": 120.0},
        [
            _site("A", [[1 / 3, 2 / 3, 0]], [0, 0, 1], ion=ion, spin=spin),
            _site("B", [[2 / 3, 1 / 3, 0]], second, ion=ion, spin=spin),
        ],
        [{"parameter": f"J{shell}", "shell": shell} for shell in (1, 2, 3)],
        anisotropy=[{"parameter": "D", "axis": [0, 0, 1]}],
        view=HEXAGONAL_VIEW,
    )


def square(*, ion: str = "Mn2+", spin: float = 2.5, a: float = 4.2) -> Description:
    """Return the antiferromagnet of checkerboard order on the square lattice: J1, J2, D."""
    site = _site("M", [[0, 0, 0]], [0, 0, 1], ion=ion, spin=spin)
    return _description(
        "square antiferromagnet",
        {"a": a, "b": a, "c": 14.0},
        [{**site, "propagation": [0.5, 0.5, 0]}],
        [{"parameter": "J1", "shell": 1}, {"parameter": "J2", "shell": 2}],
        anisotropy=[{"parameter": "D", "axis": [0, 0, 1]}],
        magnetic_cell=[[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
    )


def materials() -> tuple[Material, ...]:
    """List the materials that are held out, 22 of four families.

    >>> len(materials()), sorted({material.family for material in materials()})
    (22, ['honeycomb', 'kagome', 'manganite', 'square antiferromagnet'])
    """
    return tuple(
        Material(f"{name} {number}", family, model, values)
        for name, family, model, constants in _families()
        for number, values in enumerate(constants, start=1)
    )


def _families() -> Iterator[tuple[str, str, ModelName | Description, list[tuple[float, ...]]]]:
    """Name, family, model and sets of constants in meV."""
    yield "kagome", "kagome", kagome(), [
        (-2.0, 0.0, 0.0), (-4.0, -0.6, 0.0), (-3.0, 0.3, -0.3), (-1.0, -0.3, -0.1), (-6.0, 0.4, 0.0)
    ]  # fmt: skip
    yield "honeycomb F", "honeycomb", honeycomb(antiparallel=False, ion="Cr3+", spin=1.5), [
        (-3.0, 0.0, 0.0, 0.0), (-4.0, -0.5, 0.0, -0.2), (-2.0, 0.1, -0.4, 0.0)
    ]  # fmt: skip
    yield "honeycomb AF", "honeycomb", honeycomb(antiparallel=True), [
        (2.0, 0.0, 0.0, 0.0), (1.5, -0.2, 0.3, -0.1), (4.0, 0.2, 0.6, 0.0)
    ]  # fmt: skip
    yield "square AF", "square antiferromagnet", square(), [
        (0.65, 0.0, 0.0), (2.0, 0.0, 0.0), (2.5, -0.3, -0.05), (4.0, 0.3, 0.0), (5.0, 0.0, -0.1)
    ]  # fmt: skip
    names: tuple[ModelName, ...] = ("Goodenough", "Dimer")
    for name in names:
        best = np.array(BEST_FIT[name])
        yield name, "manganite", name, [tuple((factor * best).tolist()) for factor in (1.0, 0.7, 0.45)]


def held_out_setting(
    material: Material, instrument: str, *, bins: tuple[int, int, int] = (30, 30, 18), grid: int = 60
) -> WorldSetting:
    """Return how a material is measured: h and k from −1 to 1, an incident energy that holds its bands."""
    energy = incident_energy(material, instrument)
    options = Options(load_instrument(instrument), grid=grid)
    binning = Binning.regular(
        energy, bins=bins, h=(-1.0, 1.0), k=(-1.0, 1.0), energy=(0.08 * energy, 0.8 * energy)
    )
    model = material.model if isinstance(material.model, Description) else None
    waves = solve(material.model, material.constants, options)
    lattice = Lattice(**dict(zip(CELL, waves.cell, strict=False)))
    view = View() if model is None else model.view
    return WorldSetting(lattice, view, options, binning, waves.not_covered(binning))


def incident_energy(material: Material, instrument: str) -> float:
    """Return 1.5 times the highest energy, rounded, or the nearest that the chopper lets through."""
    wished = 1.5 * material.top
    setting = load_instrument(instrument)
    energies = [round(wished * factor, 1) for factor in (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12)]
    return next((energy for energy in energies if setting.is_open(energy)), energies[0])
