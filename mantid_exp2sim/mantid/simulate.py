"""Simulate a Hamiltonian on bins, or on those of a template workspace: what SimulateSpinWavesMD does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, OptionError
from mantid_exp2sim.histogram import HKL, Axis, Booleans, Floats, Histogram, Projection
from mantid_exp2sim.histogram.projection import projection_of
from mantid_exp2sim.inference import axis_order
from mantid_exp2sim.inference.worker import Progress, compute
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import workspace as mdworkspace

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.instrument import Instrument

MODELS = {
    "Goodenough": ("JF1", "JA", "JF2", "JF3", "Jperp", "D"),
    "Dimer": ("JFW", "JA1", "JA2", "JFS", "Jperp", "D"),
}
"""The spin-wave models of the half-doped bilayer manganite, and their six parameters in meV."""
KINDS = ("convolved", "integrated", "centre")
SETTING = ("Instrument", "Package", "Frequency", "WidthScale")
_PROPERTIES = {
    "package": "Package",
    "frequency": "Frequency",
    "width_scale": "WidthScale",
    "incident_energy": "IncidentEnergy",
}
GAPS = ("Detectors", "Template", "None")
MAX_BINS = 50_000_000
_Q = (-40 / 39, 40 / 39, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The axes of the result in its own order, the incident energy in meV, and the gaps (True)."""

    axes: tuple[Axis, ...]
    incident_energy: float
    mask: Booleans | None = None

    @property
    def projection(self) -> Projection:
        """Directions of the momentum axes."""
        return projection_of(self.axes)

    def edges(self) -> tuple[Floats, Floats, Floats]:
        """Return the edges of both momentum axes (r.l.u.) and of the energy transfer (meV)."""
        order = axis_order.find_order(self.axes, self.projection)
        h, k, energy = (self.axes[i].edges for i in order[:3])
        return h, k, energy


def declare(algorithm: Any) -> None:
    """Declare the properties."""
    from mantid.api import IMDHistoWorkspaceProperty, PropertyMode
    from mantid.kernel import Direction, IntBoundedValidator, StringListValidator

    add, numbers = algorithm.declareProperty, mdproperties.declare_numbers
    text = "The model of the half-doped bilayer manganite."
    add("SpinWaveModel", "Goodenough", StringListValidator(list(MODELS)), text)
    names = "; ".join(f"{model}: {', '.join(values)}" for model, values in MODELS.items())
    numbers(algorithm, "Parameters", f"Six parameters in meV ({names}), or none for the published best fit.")
    text = (
        "What is simulated: convolved with the instrument's resolution, integrated over the bins without it, "
        "or at bin centres."
    )
    add("Kind", "convolved", StringListValidator(list(KINDS)), text)
    template = IMDHistoWorkspaceProperty("TemplateWorkspace", "", Direction.Input, PropertyMode.Optional)
    add(template, "A workspace whose axes, and logs, the result takes over.")
    text = "Incident energy in meV; 0 takes the sample log Ei of the template."
    mdproperties.declare_positive(algorithm, "IncidentEnergy", 0.0, text)
    text = "Directions of the two momentum axes in (h, k, l), six numbers; they are normal to each other."
    numbers(algorithm, "Projection", text, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    text = "Minimum, maximum and number of bins along the {} momentum axis in lattice units."
    numbers(algorithm, "HBins", text.format("first"), _Q)
    numbers(algorithm, "KBins", text.format("second"), _Q)
    text = (
        "Minimum, maximum and number of bins of the energy transfer in meV, or none for ten bins "
        "from a tenth to seven tenths of the incident energy."
    )
    numbers(algorithm, "EnergyBins", text)
    _declare_instrument(algorithm)
    text = "Bins left out: those that no detector reaches, those that the template lacks, or none."
    add("Gaps", "Detectors", StringListValidator(list(GAPS)), text)
    text = "Variance of the counting noise over the intensity; 0 is none."
    mdproperties.declare_positive(algorithm, "NoiseLevel", 0.0, text)
    add("Seed", 0, IntBoundedValidator(lower=0), "Seed of the noise.")
    output = IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output)
    add(output, "Name of the result, in mb/sr/meV per formula unit.")
    mdproperties.group(algorithm, "Hamiltonian", "SpinWaveModel", "Parameters", "Kind")
    bins = ("TemplateWorkspace", "IncidentEnergy", "Projection", "HBins", "KBins", "EnergyBins")
    mdproperties.group(algorithm, "Bins", *bins)
    mdproperties.group(algorithm, "Instrument", *SETTING)
    mdproperties.group(algorithm, "Noise and gaps", "Gaps", "NoiseLevel", "Seed")


def _declare_instrument(algorithm: Any) -> None:
    from mantid.kernel import StringListValidator

    from mantid_exp2sim.simulation.instrument import shipped_instruments

    names = ["MAPS", *shipped_instruments()]
    algorithm.declareProperty("Instrument", "MAPS", StringListValidator(names), "The spectrometer.")
    algorithm.declareProperty("Package", "", "Slit package; by default the instrument's.")
    text = "Frequency of the chopper in Hz; 0 takes it from the instrument's table."
    mdproperties.declare_positive(algorithm, "Frequency", 0.0, text)
    text = "Factor on all widths of the resolution."
    mdproperties.declare_positive(algorithm, "WidthScale", 1.0, text)


def instrument(algorithm: Any) -> Instrument:
    """Return the spectrometer as it is set.

    Raises
    ------
    Exp2SimError
        If it has no such package or frequency, the widths are scaled by 0, or its chopper is shut.
    """
    from mantid_exp2sim.simulation.instrument import load_instrument

    name, package, frequency, width_scale = (algorithm.getProperty(name).value for name in SETTING)
    spectrometer = load_instrument(str(name)).with_setting(
        package=str(package) or None, frequency=frequency or None, width_scale=width_scale
    )
    spectrometer.refuse_shut(grid(algorithm).incident_energy)
    return spectrometer


def parameters(algorithm: Any) -> list[float]:
    """Return the six parameters in meV, or none for the best fit.

    Raises `OptionError` if there are some but not six finite numbers.
    """
    values = mdproperties.read_numbers(algorithm, "Parameters")
    names = MODELS[str(algorithm.getProperty("SpinWaveModel").value)]
    if len(values) not in (0, len(names)) or not np.isfinite(values).all():
        raise OptionError(
            f"{len(values)} parameters are given.",
            reason=f"The model takes six finite numbers in meV: {', '.join(names)}.",
            fix="Give all of them in this order, or none for the published best fit.",
            option="Parameters",
        )
    return values


def grid(algorithm: Any) -> Grid:
    """Return the bins of the result.

    Raises `Exp2SimError` if the template's axes are not h, k and energy, the bins make no sense, or Ei is not
    known.
    """
    template = algorithm.getProperty("TemplateWorkspace").value
    energy = mdalgorithm.incident_energy(algorithm)
    if energy is None and template is not None:
        energy = mdworkspace.logged_incident_energy(template)
    if energy is None:
        raise OptionError(
            "The incident energy is not known.",
            reason="" if template is None else "The template has no sample log Ei.",
            fix="Set IncidentEnergy in meV.",
            option="IncidentEnergy",
        )
    if template is None:
        return _validated(Grid(_axes(algorithm, energy), energy), "EnergyBins")
    mask = None
    if str(algorithm.getProperty("Gaps").value) == "Template":
        mask = mdworkspace.read(template, incident_energy=energy).histogram.mask
    return _validated(Grid(mdworkspace.axes(template), energy, mask), "TemplateWorkspace")


def _axes(algorithm: Any, incident_energy: float) -> tuple[Axis, ...]:
    h, k = (_edges(name, mdproperties.read_numbers(algorithm, name)) for name in ("HBins", "KBins"))
    default = [0.1 * incident_energy, 0.7 * incident_energy, 10]
    energy = _edges("EnergyBins", mdproperties.read_numbers(algorithm, "EnergyBins") or default)
    return _projection(algorithm).axes(h, k, energy)


def _projection(algorithm: Any) -> Projection:
    values = mdproperties.read_numbers(algorithm, "Projection")
    try:
        if len(values) != 6:
            raise Exp2SimError(f"Projection has {len(values)} numbers.", fix="")
        return Projection((values[0], values[1], values[2]), (values[3], values[4], values[5]))
    except Exp2SimError as error:
        raise OptionError(
            error.summary,
            reason="It takes two directions (h, k, l), which differ.",
            fix="Give six numbers, such as 1,1,0,0,0,1.",
            option="Projection",
        ) from error


def _edges(name: str, values: list[float]) -> Floats:
    """Return the edges between minimum and maximum, which Mantid keeps as float32."""
    finite = len(values) == 3 and np.isfinite(values).all() and values[0] < values[1]
    if not finite or values[2] != int(values[2]) or not 1 <= values[2] <= 10_000:
        raise OptionError(
            f"{name} is {values}.",
            reason="It takes minimum, maximum and number of bins (at most 10000).",
            fix="Give three numbers, such as -1,1,40.",
            option=name,
        )
    return np.linspace(float(np.float32(values[0])), float(np.float32(values[1])), int(values[2]) + 1)


def _validated(bins: Grid, option: str) -> Grid:
    count = int(np.prod([axis.size for axis in bins.axes], dtype=np.int64))
    if count > MAX_BINS:
        raise OptionError(
            f"The result would have {count} bins.",
            reason=f"At most {MAX_BINS} are simulated.",
            fix="Choose fewer bins.",
            option=option,
        )
    highest = bins.edges()[2][-1]
    if highest >= bins.incident_energy:
        raise OptionError(
            f"The energy transfer goes up to {highest:g} meV.",
            reason=f"It must stay below the incident energy, {bins.incident_energy:g} meV.",
            fix="Choose lower energy transfers, or a higher incident energy.",
            option=option,
        )
    return bins


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Return the messages of ``validateInputs``."""
    output = [("OutputWorkspace", algorithm.getPropertyValue("OutputWorkspace"))]
    messages = mdinputs.clashes([algorithm.getPropertyValue("TemplateWorkspace")], output)
    if not np.isfinite(algorithm.getProperty("NoiseLevel").value):
        messages["NoiseLevel"] = "The noise level is a number."
    if not np.isfinite(algorithm.getProperty("IncidentEnergy").value):
        messages["IncidentEnergy"] = "The incident energy is a positive number of meV."
        return messages
    if algorithm.getPropertyValue("Gaps") == "Template" and not algorithm.getPropertyValue(
        "TemplateWorkspace"
    ):
        messages["Gaps"] = "There is no template to take the gaps from."
    for validate in (parameters, grid, instrument):
        try:
            validate(algorithm)
        except Exp2SimError as error:
            option = error.option if isinstance(error, OptionError) else "TemplateWorkspace"
            messages[_PROPERTIES.get(option, option)] = str(error)
    return messages


def execute(algorithm: Any) -> None:
    """Simulate, then make the workspace."""
    bins, values, spectrometer = grid(algorithm), parameters(algorithm), instrument(algorithm)
    model, kind = algorithm.getProperty("SpinWaveModel").value, algorithm.getProperty("Kind").value
    noise, seed = algorithm.getProperty("NoiseLevel").value, algorithm.getProperty("Seed").value
    projection = bins.projection
    mask = None if bins.mask is None else axis_order.to_volume(bins.mask, bins.axes, projection)
    detectors = algorithm.getProperty("Gaps").value == "Detectors"

    def work(progress: Progress) -> Histogram:
        from mantid_exp2sim.simulation.binning import Binning
        from mantid_exp2sim.simulation.measurement import Gaps, simulate

        progress(1, 2, "simulating")
        binning = Binning(*bins.edges(), bins.incident_energy)
        gaps: Gaps = "coverage" if detectors else mask
        name, axes = (model, None) if projection == HKL else (f"pcsmo-{model.lower()}", projection.names)
        return simulate(
            name,
            values or None,
            binning=binning,
            instrument=spectrometer,
            kind=kind,
            noise=noise,
            seed=seed,
            mask=gaps,
            axes=axes,
        )

    result = compute(work, mdalgorithm.reporter(algorithm), message="loading the simulator")
    constants = result.metadata["history"][0]["parameters"]
    output = _workspace(algorithm, bins)
    arrays = (
        axis_order.from_volume(part, bins.axes, projection) for part in (result.intensity, result.variance)
    )
    mdworkspace.write(output, *arrays)
    algorithm.setProperty("Parameters", mdproperties.format_numbers(constants))
    algorithm.setProperty("IncidentEnergy", bins.incident_energy)
    algorithm.setProperty("OutputWorkspace", output)


def _workspace(algorithm: Any, bins: Grid) -> Any:
    """Return an empty workspace of these axes with the incident energy in its logs, in no data service."""
    output = _create(algorithm, bins.axes)
    template = algorithm.getProperty("TemplateWorkspace").value
    if template is not None and template.getNumExperimentInfo():
        output.copyExperimentInfos(template)
    else:
        _add_run(algorithm, output)
    for index in range(output.getNumExperimentInfo()):
        run = output.getExperimentInfo(index).run()
        run.addProperty("Ei", bins.incident_energy, "meV", True)
    return output


def _create(algorithm: Any, axes: tuple[Axis, ...]) -> Any:
    zeros = np.zeros(int(np.prod([axis.size for axis in axes])))
    properties = {
        "SignalInput": zeros,
        "ErrorInput": zeros,
        "Dimensionality": len(axes),
        "Extents": [float(edge) for axis in axes for edge in (axis.edges[0], axis.edges[-1])],
        "NumberOfBins": [axis.size for axis in axes],
        "Names": [axis.name for axis in axes],
        "Units": [axis.unit for axis in axes],
        "Frames": [axis.frame for axis in axes],
    }
    return mdalgorithm.child(algorithm, "CreateMDHistoWorkspace", properties)


def _add_run(algorithm: Any, output: Any) -> None:
    """Give a workspace without runs an empty one that Mantid owns.

    Older versions of Mantid keep only Python's handle of what `addExperimentInfo` gets, and die with the
    workspace. The handle stays in a carrier that ends here; the output gets the copy that Mantid makes of it.
    """
    carrier = _create(algorithm, (Axis("x", np.array([0.0, 1.0]), unit="x", frame="General Frame"),))
    run = mdalgorithm.child(algorithm, "CreateWorkspace", {"DataX": [0.0, 1.0], "DataY": [0.0]})
    carrier.addExperimentInfo(run)
    output.copyExperimentInfos(carrier)
