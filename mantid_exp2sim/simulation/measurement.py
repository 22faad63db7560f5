"""A simulated measurement as a `Histogram`: from exchange constants to intensities with gaps and noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import CELL, Booleans, Histogram, volume_histogram
from mantid_exp2sim.histogram.direction import Vector, read_direction
from mantid_exp2sim.mosaic import join
from mantid_exp2sim.simulation.binning import Binning, Kind, mosaic_binnings
from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask
from mantid_exp2sim.simulation.crystal import validate_values
from mantid_exp2sim.simulation.excitation_model import ExcitationModel, solve_excitations
from mantid_exp2sim.simulation.excitations import Excitations
from mantid_exp2sim.simulation.instrument import Instrument, load_instrument
from mantid_exp2sim.simulation.manganite import BEST_FIT, PARAMETERS, ModelName, validate_parameters
from mantid_exp2sim.simulation.manganite_spectrum import solve_manganite
from mantid_exp2sim.simulation.material import Description, find_description, read_description
from mantid_exp2sim.simulation.noise import add_counting_noise
from mantid_exp2sim.simulation.options import Options, Physics, SpinWaves
from mantid_exp2sim.simulation.other_programs import as_model
from mantid_exp2sim.simulation.scan import Scan
from mantid_exp2sim.simulation.spectrum import solve_material

Gaps = Booleans | Literal["coverage"] | None


def simulate(
    model: str | Path | Description | ExcitationModel,
    parameters: Mapping[str, float] | ArrayLike | None = None,
    *,
    binning: Binning | None = None,
    instrument: str | Instrument = "MAPS",
    kind: Kind = "convolved",
    noise: float = 0.0,
    seed: int = 0,
    mask: Gaps = "coverage",
    physics: Physics = "physical",
    grid: int = 30,
    frequency: float | None = None,
    package: str | None = None,
    width_scale: float = 1.0,
    excitations: Excitations | None = None,
    axes: tuple[str | Vector, str | Vector] | None = None,
    scan: Scan | None = None,
    powder: bool = False,
) -> Histogram:
    """Simulate what a spectrometer measures of the spin waves of a model.

    Parameters
    ----------
    model
        "Dimer" or "Goodenough", the built-in models of the half-doped manganite; the name of a shipped
        description, such as "rb2mnf4"; the path of a description (TOML); a `Description`; or
        an `ExcitationModel` such as a plain function (`FunctionModel`), or force constants of Euphonic.
    parameters
        Constants in meV: some by name, or all in order. By default those of the best fit or the description.
    binning
        Bins of one (h, k, E) volume; by default the published mosaic of the manganite.
    instrument
        Name of a shipped instrument, path of a TOML file, or an `Instrument`.
    kind
        "convolved" with the instrument's resolution; "integrated", the same mean over each bin without it;
        "centre", the model at the bin's centre with lines of 0.1 meV FWHM.
    noise
        Variance of the counting noise over the intensity; 0 is none.
    seed
        Seed of the noise, which the history in the metadata records.
    mask
        Bins that were not measured (True): "coverage" for those that no detector reaches, None for no gaps,
        or an array of the shape of the volume, (6, 40, 40, 10) for the mosaic.
    physics
        "paper_compatible" for the artefacts of the published simulation (`Options`).
    grid
        Half the number of points per r.l.u. on which the Hamiltonian is solved.
    frequency
        Chopper frequency in Hz; by default that of the instrument's table.
    package
        Name of the slit package, or whole parts of it ("100-1.5"); by default the instrument's.
    width_scale
        Factor on all widths of the resolution, in energy and in Q.
    excitations
        Limits outside of which a mode is left out and counted; by default those of the description.
    axes
        Directions of the two momentum axes, such as "[H,H,0]" or (1, 1, 0), normal to each other; by default
        those of the description.
    scan
        How the crystal turns; the binning then has a range of the third direction. None: it stands with ki
        normal to both axes.
    powder
        Whether the sample is a powder; the first axis is then |Q| in Å⁻¹, and the second has one bin.

    Returns
    -------
    Histogram
        Intensities in mb sr⁻¹ meV⁻¹ per formula unit, NaN where not measured, with the variance of the noise.

    Raises
    ------
    UnstableStructureError
        If the spin structure is not the ground state of these constants.
    Exp2SimError
        If a model, an instrument, constants or bins cannot be used.

    Examples
    --------
    >>> from mantid_exp2sim.simulation.binning import Binning
    >>> volume = simulate("rb2mnf4", {"J1": 0.6}, binning=Binning.regular(12.0, bins=(8, 8, 6)), grid=8)
    >>> volume.shape, volume.metadata["history"][0]["parameters"]
    ((8, 8, 6), [0.6, 0.0])
    """
    if not isinstance(instrument, Instrument):
        instrument = load_instrument(instrument)
    instrument = instrument.with_setting(package=package, frequency=frequency, width_scale=width_scale)
    material = find_model(model)
    if axes is not None:
        material = viewed_along(material, axes)
    constants = list(model_parameters(material, parameters).values())
    if binning is None and not isinstance(material, str):
        raise Exp2SimError(
            f"The bins of {material.name} are not given.",
            reason="The default, the published mosaic, is for the built-in models.",
            fix="Give a binning; on the command line --incident-energy in meV.",
        )
    options = Options(instrument, physics, grid, excitations, scan=scan, powder=powder)
    waves = solve(material, constants, options)
    note: dict[str, str | float] = {} if package is None else {"package": instrument.package}
    note |= {} if frequency is None else {"frequency": frequency}
    if binning is not None:
        return _noted(simulate_volume(waves, binning, kind=kind, noise=noise, seed=seed, mask=mask), note)
    gaps = mosaic_coverage_mask(instrument) if isinstance(mask, str) else mask
    volumes = [
        simulate_volume(
            waves,
            binning,
            kind=kind,
            noise=noise,
            seed=seed,
            mask=None if gaps is None else np.asarray(gaps)[i],
        )
        for i, binning in enumerate(mosaic_binnings())
    ]
    joined = join(volumes)
    common = {name: volumes[0].metadata[name] for name in ("title", "intensity_unit")}
    left_out = sum(waves.left_out.values())
    first = volumes[0].metadata["history"][0]
    history = [first | ({"modes_left_out": left_out} if left_out else {})]
    return _noted(joined.replace(metadata={**joined.metadata, **common, "history": history}), note)


def _noted(histogram: Histogram, note: Mapping[str, str | float]) -> Histogram:
    """Add to the history how the chopper was set, where it was not as usual."""
    history = [{**entry, **note} for entry in histogram.metadata["history"]]
    return histogram.replace(metadata={**histogram.metadata, "history": history}) if note else histogram


def viewed_along(
    material: ModelName | Description | ExcitationModel, axes: tuple[str | Vector, str | Vector]
) -> ModelName | Description | ExcitationModel:
    """Return a model whose volumes have other momentum axes; `Exp2SimError` for what is no direction."""
    vectors: list[Vector] = []
    for axis in axes:
        line = read_direction(axis) if isinstance(axis, str) else (axis, (0.0, 0.0, 0.0))
        if line is None or any(line[1]):
            raise Exp2SimError(
                f"{axis!r} is no direction.",
                reason="An axis goes through Γ; where it is cut is told by the bins of the other axes.",
                fix="Give one such as [H,0,0], [H,H,0] or [-K,2K,0].",
            )
        vectors.append(line[0])
    if isinstance(material, Description):
        return material.viewed(vectors[0], vectors[1])
    if not isinstance(material, str):
        raise Exp2SimError(
            f"The axes of the model {material.name} are those of its view.", fix="Make it with another view."
        )
    if vectors != [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]:
        raise Exp2SimError(
            f"The built-in model {material} has the axes [H,0,0] and [0,K,0].",
            reason="It has a path of its own, for c along the beam.",
            fix=f"Simulate the description pcsmo-{material.lower()} (`--description`).",
        )
    return material


def find_model(
    model: str | Path | Description | ExcitationModel,
) -> ModelName | Description | ExcitationModel:
    """Find the built-in model, or the description (shipped or a file), that ``model`` names.

    Force constants of Euphonic become a model of their phonons.
    """
    if not isinstance(model, str | Path):
        return as_model(model)  # type: ignore[no-any-return]
    names = [name for name in PARAMETERS if name.lower() == str(model).lower()]
    return names[0] if names else read_description(find_description(str(model)))


def model_parameters(
    model: ModelName | Description | ExcitationModel,
    parameters: Mapping[str, float] | ArrayLike | None = None,
) -> dict[str, float]:
    """Name the constants of a model in meV: some given by name or all in order, else its defaults."""
    if isinstance(model, str):
        names, defaults = PARAMETERS[model], BEST_FIT[model]
    else:
        names = tuple(model.parameters)
        defaults = tuple(parameter.value for parameter in model.parameters.values())
    if parameters is None:
        values = np.asarray(defaults)
    elif isinstance(parameters, Mapping):
        if unknown := [name for name in parameters if name not in names]:
            title = model if isinstance(model, str) else model.name
            raise Exp2SimError(
                f"The model {title} has no parameter {unknown[0]!r}.", fix=f"Choose among {list(names)}."
            )
        values = np.array([parameters.get(name, value) for name, value in zip(names, defaults, strict=True)])
    elif isinstance(model, str):
        values = validate_parameters(model, parameters)[1]
    elif isinstance(model, Description):
        values = validate_values(model, parameters)
    else:
        values = solve_excitations(model, parameters).parameters
    return dict(zip(names, values.tolist(), strict=True))


def solve(
    model: ModelName | Description | ExcitationModel, parameters: ArrayLike, options: Options | None = None
) -> SpinWaves:
    """Solve a model, with its constants (meV) in order, for every incident energy, binning and kind."""
    if isinstance(model, str):
        return solve_manganite(model, parameters, options)
    if isinstance(model, Description):
        return solve_material(model, parameters, options)
    return solve_excitations(model, parameters, options)


def simulate_volume(
    waves: SpinWaves,
    binning: Binning,
    *,
    kind: Kind = "convolved",
    noise: float = 0.0,
    seed: int = 0,
    mask: Gaps = "coverage",
) -> Histogram:
    """Simulate one (h, k, E) volume of a solved model; arguments and result as in `simulate`."""
    waves.options.instrument.refuse_shut(binning.incident_energy)
    values = waves.volume(binning, kind)
    variance = np.zeros_like(values)
    if not (noise >= 0 and np.isfinite(noise)):
        raise Exp2SimError(
            f"The noise is {noise}.",
            reason="It is the variance over the intensity, a number from 0.",
            fix="Give 0 for none, or for example 0.7.",
        )
    if noise > 0:
        rng = np.random.default_rng([seed, round(binning.incident_energy * 1000)])
        values, variance = add_counting_noise(rng, values, noise)
    if isinstance(mask, str):
        mask = waves.not_covered(binning)
    projection, scan = waves.projection, waves.options.scan
    edges = binning.h_edges, binning.k_edges, binning.energy_edges
    left_out = waves.left_out[binning, kind]
    width_scale = waves.options.instrument.width_scale
    integrated: dict[str, Any] = {}
    if binning.third is not None and scan is not None:
        integrated = {"integrated": [{"axis": projection.third_name, "range": list(binning.third)}]}
    metadata = {
        "title": f"{waves.model} {kind}",
        "incident_energy": binning.incident_energy,
        "intensity_unit": "mb sr⁻¹ meV⁻¹ f.u.⁻¹",
        "lattice": dict(zip(CELL, waves.cell, strict=True)),
        **integrated,
        "history": [
            {
                "command": "simulate",
                "model": waves.model,
                "parameters": waves.parameters.tolist(),
                "kind": kind,
                "physics": waves.options.physics,
                "instrument": waves.options.instrument.name,
                "noise": noise,
                "seed": seed,
                **({"width_scale": width_scale} if width_scale != 1 else {}),
                **({"modes_left_out": left_out} if left_out else {}),
                **({} if scan is None else {"scan": scan.model_dump(mode="json")}),
            }
        ],
    }
    return volume_histogram(projection, edges, values, variance, mask, metadata=metadata)
