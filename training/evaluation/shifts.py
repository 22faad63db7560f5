"""Named shifts: what a model says of data that its training did not have, and how wrong it is.

The spectra are simulated anew, from a seed of their own, by the simulator that made the training data: only
the conditions of measurement are others. So the table says what happens under *these* conditions, and
nothing about a real sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, Booleans, Histogram
from mantid_exp2sim.inference.classify import classify
from mantid_exp2sim.inference.translate import translate
from mantid_exp2sim.model.bundle import Bundle, open_bundle
from mantid_exp2sim.mosaic import (
    INCIDENT_ENERGIES,
    WINDOW_EDGES,
    mosaic_histogram,
    picture_from_volumes,
)
from mantid_exp2sim.simulation.conditions import Measurement, MeasurementConditions
from mantid_exp2sim.simulation.manganite import PARAMETERS
from mantid_exp2sim.simulation.noise import NOISELESS, TYPICAL_NOISE, MeasurementNoise
from mantid_exp2sim.simulation.options import Options
from mantid_exp2sim.simulation.simulation_conditions import SimulationConditions
from mantid_exp2sim.simulation.volume_bins import VolumeBins
from mantid_exp2sim.storage.atomic import atomic_path, make_folder
from mantid_exp2sim.training.datasets.simulate import draw, measured_mask
from mantid_exp2sim.training.datasets.simulation_recipe import Grid, Recipe

FILE = "shifts.json"
FIRST_SEED = 1_000_000
"""Added to the seed, so that no spectrum is one of a data set."""
CLEAN: Mapping[str, Any] = MappingProxyType({"noise": NOISELESS})
UNSEEN = ("tubes", "layout", "shifted")
TOO_WRONG = 1.5
"""An error is not as expected where it is this many times the expected one."""
MEASURED_MASK = "measured mask, perfect simulation"
SHIFTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "as in training": {},
        "perfect simulation": CLEAN,
        "chopper 50 Hz faster": {"simulation": {"frequency_offset": (50, 50)}},
        "chopper 50 Hz slower": {"simulation": {"frequency_offset": (-50, -50)}},
        "chopper frequencies halved": {"simulation": {"frequency_factor": (0.5, 0.5)}},
        "resolution 15 % wider": {"simulation": {"width_scale": (1.15, 1.15)}},
        "turned by 1° about the beam": {"rotation": (1, 1)},
        "twins 3 : 1": {"simulation": {"first_twin": (0.75, 0.75)}},
        "lines 2 meV wide": {"simulation": {"line_width": (2, 2)}},
        "Debye–Waller 0.01 Å², kf/ki, 100 K": {
            "debye_waller": (0.01, 0.01), "flux_factor": 1, "temperature": (100, 100)
        },
        "one count per unit, Poisson": {**CLEAN, "counts": (1, 1)},
        "one count per unit, background subtracted": {**CLEAN, "counts": (1, 1), "subtracted": (0.3, 0.3)},
        "negatives cut": {"cut_negatives": 1},
        "finer grid": {"grid": 60},
        MEASURED_MASK: {**CLEAN, "masks": ("measured",)},
        "unseen masks, perfect simulation": {**CLEAN, "masks": UNSEEN},
        "unseen masks": {"masks": UNSEEN},
        "phonons 30 %": {"phonons": (0.3, 0.3)},
        "phonons 100 %, elastic tail 30 %": {"phonons": (1, 1), "elastic_tail": (0.3, 0.3)},
        "elastic tail 30 %": {"elastic_tail": (0.3, 0.3)},
        "background 30 %, rising with Q": {"background": (0.3, 0.3)},
        "background alone": {"background": (1, 1), "empty": 1},
        "efficiencies scatter by 10 %": {"efficiency": (0.1, 0.1)},
        "5 spurions": {"spurions": (5, 5)},
        "clipped at 98 %": {"clip": (0.98, 0.98)},
        "intensity × 0.1": {"intensity": (0.1, 0.1)},
        "intensity × 0.3": {"intensity": (0.3, 0.3)},
        "intensity × 3": {"intensity": (3, 3)},
        "intensity × 10": {"intensity": (10, 10)},
        "published simulation, its scale": {
            "simulation": {"physics": ("paper_compatible",)}, "intensity": (0.24, 0.24)
        },
        "phonons 30 %, intensity × 0.3": {"phonons": (0.3, 0.3), "intensity": (0.3, 0.3)},
        "phonons 30 %, unseen masks": {"phonons": (0.3, 0.3), "masks": UNSEEN},
        "unseen masks, intensity × 0.3": {"masks": UNSEEN, "intensity": (0.3, 0.3)},
    }
)  # fmt: skip
"""Settings of `MeasurementConditions`, beside the noise of measured data; ``simulation`` those of
`SimulationConditions`, and ``grid`` that of `Options`."""


@dataclass(frozen=True, slots=True)
class ShiftSettings:
    """What is measured on how many spectra."""

    spectra: int = 40
    intervals: int = 4
    """So many of them with error bars, for the coverage."""
    noise: MeasurementNoise = TYPICAL_NOISE
    seed: int = 0
    scale: float | str = 1.0
    """As a user would give it (`TranslationOptions`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Simulated spectra of one model's bins, each simulated once for all shifts that leave it as it is."""

    recipe: Recipe
    bins: VolumeBins
    own: Booleans
    mosaic: bool
    simulated: dict[tuple[int, Options], tuple[NDArray[np.float32], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle, seed: int) -> Source:
        """Make the source for a model's bins; `Exp2SimError` where its classes are not built in."""
        of_model = tuple(bundle.card.classes)
        classes = tuple(name for name in PARAMETERS if not of_model or name in of_model)
        if not set(of_model) <= set(classes):
            raise Exp2SimError(
                f"The shifts of {bundle.card.name} cannot be simulated.",
                reason=f"Its classes are {', '.join(of_model)}; built in are {', '.join(PARAMETERS)}.",
                fix="Measure it on a data set: exp2sim evaluate MODEL DATASET.",
            )
        recipe = Recipe(
            name="shifts", seed=FIRST_SEED + seed, train=1, validation=1, test=1, classes=classes,
            binning=_grid(bundle),
        )  # fmt: skip
        first = recipe.binnings[0]
        edges = (first.h_edges, first.k_edges, first.energy_edges / first.incident_energy)
        h, k, energy = (tuple(line.tolist()) for line in edges)
        bins = VolumeBins(h, k, energy, recipe.lattice)
        return cls(recipe, bins, measured_mask(recipe), recipe.binning is None)

    @property
    def energies(self) -> NDArray[np.float64]:
        """Incident energies (G,) in meV."""
        return np.array([binning.incident_energy for binning in self.recipe.binnings])

    def label(self, index: int) -> str:
        """Return the class of a spectrum."""
        return self.recipe.class_names[index % len(self.recipe.classes)]

    def measure(
        self, index: int, changes: Mapping[str, Any], settings: ShiftSettings, mask: Booleans | None
    ) -> Measurement:
        """Simulate spectrum ``index`` and measure it under a shift."""
        grid = int(changes.get("grid", self.recipe.grid))
        table = {name: value for name, value in changes.items() if name not in ("grid", "simulation")}
        conditions = MeasurementConditions(**{"noise": settings.noise, **table})
        simulation = SimulationConditions(**changes.get("simulation", {}))
        rng = np.random.default_rng([FIRST_SEED, settings.seed, index])
        options = simulation.draw(rng, replace(self.recipe.options, grid=grid))
        if (index, options) not in self.simulated:
            volumes = draw(self.recipe, index, options)[1]
            pair = tuple(volumes[kind].astype(np.float32)[None] for kind in ("convolved", "integrated"))
            self.simulated[index, options] = pair
        convolved, unconvolved = self.simulated[index, options]
        return conditions.measure(
            rng, convolved, unconvolved, self.own, self.bins, self.energies, measured_mask=mask
        )

    def histogram(
        self, volumes: NDArray[Any], variance: NDArray[Any], mask: Booleans, index: int
    ) -> Histogram:
        """Show volumes (G, h, k, E) as a user has them: a mosaic, or one volume, of another Ei each time."""
        if self.mosaic:
            pictures = [picture_from_volumes(each) for each in (volumes, variance, mask)]
            return mosaic_histogram(pictures[0], variance=pictures[1], mask=pictures[2])
        at = (index // len(self.recipe.classes)) % len(self.recipe.binnings)
        binning = self.recipe.binnings[at]
        axes = (
            Axis("[H,0,0]", binning.h_edges, unit="r.l.u.", frame="HKL"),
            Axis("[0,K,0]", binning.k_edges, unit="r.l.u.", frame="HKL"),
            Axis("DeltaE", binning.energy_edges, unit="meV", frame="General Frame"),
        )
        about = {"incident_energy": binning.incident_energy}
        return Histogram.from_arrays(volumes[at], axes, variance[at], mask[at], metadata=about)


def _grid(bundle: Bundle) -> Grid | None:
    """The bins of the model's card; None: those of the mosaic."""
    energy = bundle.card.axis("energy")
    if np.isclose(energy.width, np.diff(WINDOW_EDGES).mean()):
        return None
    low, high = float(WINDOW_EDGES[0]), float(WINDOW_EDGES[-1])
    return Grid(
        incident_energies=bundle.card.incident_energies or INCIDENT_ENERGIES,
        bins=(40, 40, round((high - low) / energy.width)),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of one spectrum, and what is true."""

    verdict: str
    expected: float | None
    error: float | None
    """Relative L2 to the truth; None where there is nothing."""
    kept: float
    """Total intensity after over before."""
    inside: float | None
    """Share of the true values within the 68 % interval; None without error bars."""
    correlations: dict[str, dict[str, float]]
    """Of each class, by what was read: ``raw`` and ``deconvolved``."""
    label: str


def read_spectrum(
    model: Model,
    source: Source,
    measurement: Measurement,
    index: int,
    *,
    errors: bool,
    scale: float | str = 1.0,
) -> Reading:
    """Check, deconvolve and classify one measured spectrum."""
    mask = measurement.mask[0]
    variance = measurement.variance[0]
    data, truth = (
        source.histogram(volumes[0], variance, mask, index)
        for volumes in (measurement.values, measurement.truth)
    )
    prepared = model.prepare(data, force=True, uncertainty=errors, scale=scale)
    report = model.check_domain(prepared, "deconvolve")
    sharp = translate(prepared, "deconvolve").histogram
    correlations = {}
    if "convolved" in model.card.classifiers:
        correlations["raw"] = dict(classify(prepared, "convolved").correlations)
    if model.card.target in model.card.classifiers:
        read = classify(prepared.follow(sharp), model.card.target)
        correlations["deconvolved"] = dict(read.correlations)
    seen = ~sharp.mask
    difference, size = (sharp.intensity - truth.intensity)[seen], np.linalg.norm(truth.intensity[seen])
    return Reading(
        verdict=report.verdict,
        expected=report.expected_error,
        error=float(np.linalg.norm(difference) / size) if size > 0 else None,
        kept=float(sharp.intensity[seen].sum() / data.intensity[seen].sum()),
        inside=float((np.abs(difference) <= np.sqrt(sharp.variance[seen])).mean()) if errors else None,
        correlations=correlations,
        label=source.label(index),
    )


def summary(readings: list[Reading]) -> dict[str, Any]:
    """Sum up the readings of a shift, as a JSON object; None where nothing can be said.

    ``trusted_right``: share of what is called trustworthy whose error is below 1.5 times the expected one.
    ``wrong``: share of the deconvolved spectra whose wrong class has the highest correlation, above 0.5.
    """
    pairs = [(r.error / r.expected, r.verdict) for r in readings if r.error is not None and r.expected]
    ratios = [ratio for ratio, _ in pairs]
    trusted = [ratio < TOO_WRONG for ratio, verdict in pairs if verdict == "trustworthy"]
    verdicts = [reading.verdict for reading in readings]
    return {
        "spectra": len(readings),
        "error": _mean([r.error for r in readings]),
        "expected": _mean([r.expected for r in readings]),
        "ratio": float(np.median(ratios)) if ratios else None,
        "trustworthy": verdicts.count("trustworthy") / len(readings),
        "refused": verdicts.count("untrustworthy") / len(readings),
        "trusted_right": _mean(trusted),
        "coverage": _mean([r.inside for r in readings]),
        "kept": _mean([r.kept for r in readings]),
        "right_raw": _mean([_right(r, "raw") for r in readings]),
        "right": _mean([_right(r, "deconvolved") for r in readings]),
        "wrong": _mean([_wrong(r, "deconvolved") for r in readings]),
    }


def _mean(values: list[Any]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def _right(reading: Reading, how: str) -> bool | None:
    correlations = reading.correlations.get(how)
    return None if not correlations else max(correlations, key=correlations.__getitem__) == reading.label


def _wrong(reading: Reading, how: str) -> bool | None:
    correlations = reading.correlations.get(how)
    return None if not correlations else not _right(reading, how) and max(correlations.values()) > 0.5


def measure_shifts(
    model: str | Path | Bundle,
    *,
    settings: ShiftSettings | None = None,
    mask: Booleans | None = None,
    names: tuple[str, ...] | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a model under every shift, or those of ``names``.

    ``mask`` (G, h, k, E), True = not measured, is that of a real measurement; without it that shift is left
    out. With ``folder`` each shift is written when it is finished, and those that are there already for the
    same model and settings are taken as they are. Returns a JSON-able report, whose ``shifts`` hold a
    `summary` each.
    """
    settings, say = settings or ShiftSettings(), say or (lambda _: None)
    bundle = model if isinstance(model, Bundle) else open_bundle(model)
    source, reader = Source.of(bundle, settings.seed), Model(bundle)
    report: dict[str, Any] = {
        "model": bundle.card.name,
        "checksum": bundle.checksum,
        **_described(settings),
        "measured_mask": None if mask is None else crc32(np.packbits(mask).tobytes()),
        "shifts": {},
    }
    if folder is not None:
        report["shifts"] = _finished(make_folder(folder) / FILE, report)
    for name, changes in SHIFTS.items():
        if (
            (names and name not in names)
            or (name == MEASURED_MASK and mask is None)
            or name in report["shifts"]
        ):
            continue
        readings = []
        for index in range(settings.spectra):
            measurement = source.measure(index, changes, settings, mask)
            errors = index < settings.intervals
            readings.append(
                read_spectrum(reader, source, measurement, index, errors=errors, scale=settings.scale)
            )
        report["shifts"][name] = summary(readings)
        say(f"{name}: {json.dumps(report['shifts'][name])}")
        if folder is not None:
            _write(folder / FILE, report)
    report["shifts"] = {name: report["shifts"][name] for name in SHIFTS if name in report["shifts"]}
    return report


def _described(settings: ShiftSettings) -> dict[str, Any]:
    noise = settings.noise.model_dump(mode="json")
    return {**asdict(replace(settings, noise=NOISELESS)), "noise": noise}


def _finished(path: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """The shifts that were measured before with the same model and settings."""
    if not path.is_file():
        return {}
    before = json.loads(path.read_text(encoding="utf-8"))
    same = all(before.get(name) == value for name, value in report.items() if name != "shifts")
    return dict(before["shifts"]) if same else {}


def _write(path: Path, report: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
