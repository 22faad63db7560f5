"""What SimulateSpinWavesMD does: a Hamiltonian to an MDHistoWorkspace, on given bins or those of a template.

The simulator is imported when the algorithm runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Axis, AxisKind, Booleans, Floats, Histogram
from mantid_exp2sim.inference.worker import compute
from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import inputs as mdinputs
from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import workspace as mdworkspace

MODELS = {
    "Goodenough": ("JF1", "JA", "JF2", "JF3", "Jperp", "D"),
    "Dimer": ("JFW", "JA1", "JA2", "JFS", "Jperp", "D"),
}
"""The spin-wave models of the half-doped bilayer manganite, and their six parameters in meV."""
KINDS = ("convolved", "integrated", "centre")
GAPS = ("Detectors", "Template", "None")
ORDER: tuple[AxisKind, AxisKind, AxisKind] = ("h", "k", "energy")
MAX_BINS = 50_000_000
_Q = (-40 / 39, 40 / 39, 40)
_PHYSICS, _BINS, _NOISE = "Hamiltonian", "Bins", "Noise and gaps"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The axes of the result in its own order, where h, k and energy are among them, and the gaps."""

    axes: tuple[Axis, ...]
    positions: tuple[int, int, int]
    incident_energy: float
    mask: Booleans | None = None

    def edges(self) -> tuple[Floats, Floats, Floats]:
        """Edges of h, k (r.l.u.) and energy transfer (meV)."""
        h, k, energy = (self.axes[i].edges for i in self.positions)
        return h, k, energy

    def opened(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array (h, k, E) with the axes of the result."""
        others = [i for i in range(len(self.axes)) if i not in self.positions]
        full = array.reshape(array.shape + (1,) * len(others))
        return full.transpose(np.argsort([*self.positions, *others]))

    def closed(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array of the result's axes as (h, k, E)."""
        others = [i for i in range(len(self.axes)) if i not in self.positions]
        shape = tuple(array.shape[i] for i in self.positions)
        return array.transpose([*self.positions, *others]).reshape(shape)


def declare(algorithm: Any) -> None:
    """Declare all properties."""
    from mantid.api import IMDHistoWorkspaceProperty, PropertyMode
    from mantid.kernel import (
        Direction,
        FloatBoundedValidator,
        IntBoundedValidator,
        StringListValidator,
    )

    add = algorithm.declareProperty
    add(
        "SpinWaveModel",
        "Goodenough",
        StringListValidator(list(MODELS)),
        "The model of the half-doped bilayer manganite.",
    )
    names = "; ".join(f"{model}: {', '.join(values)}" for model, values in MODELS.items())
    mdproperties.declare_numbers(
        algorithm,
        "Parameters",
        f"Six parameters in meV ({names}), or none for the published best fit.",
    )
    kinds = (
        "convolved with the instrument's resolution, integrated over the bins without it, or at bin centres"
    )
    add("Kind", "convolved", StringListValidator(list(KINDS)), f"What is simulated: {kinds}.")
    template = IMDHistoWorkspaceProperty("TemplateWorkspace", "", Direction.Input, PropertyMode.Optional)
    add(template, "A workspace whose axes, and logs, the result takes over.")
    add(
        "IncidentEnergy",
        0.0,
        FloatBoundedValidator(lower=0.0),
        "Incident energy in meV; 0 takes the sample log Ei of the template.",
    )
    for name, axis in (("HBins", "h in lattice units"), ("KBins", "k in lattice units")):
        doc = f"Minimum, maximum and number of bins of {axis}."
        mdproperties.declare_numbers(algorithm, name, doc, _Q)
    mdproperties.declare_numbers(
        algorithm,
        "EnergyBins",
        "Minimum, maximum and number of bins of the energy transfer in meV, or none for ten bins "
        "from a tenth to seven tenths of the incident energy.",
    )
    add(
        "Gaps",
        "Detectors",
        StringListValidator(list(GAPS)),
        "Bins left out: those that no detector of MAPS reaches, those that the template lacks, or none.",
    )
    add(
        "NoiseLevel",
        0.0,
        FloatBoundedValidator(lower=0.0),
        "Variance of the counting noise over the intensity; 0 is none.",
    )
    add("Seed", 0, IntBoundedValidator(lower=0), "Seed of the noise.")
    out = IMDHistoWorkspaceProperty("OutputWorkspace", "", Direction.Output)
    add(out, "Name of the result, in mb/sr/meV per formula unit.")
    groups = {
        _PHYSICS: ("SpinWaveModel", "Parameters", "Kind"),
        _BINS: ("TemplateWorkspace", "IncidentEnergy", "HBins", "KBins", "EnergyBins"),
        _NOISE: ("Gaps", "NoiseLevel", "Seed"),
    }
    for title, members in groups.items():
        mdproperties.group(algorithm, title, *members)


def parameters(algorithm: Any) -> list[float]:
    """The six parameters, or none for the best fit.

    Raises
    ------
    Exp2SimError
        If there are some but not six finite numbers.
    """
    values = mdproperties.read_numbers(algorithm, "Parameters")
    names = MODELS[str(algorithm.getProperty("SpinWaveModel").value)]
    if len(values) not in (0, len(names)) or not np.isfinite(values).all():
        raise Exp2SimError(
            f"{len(values)} parameters are given.",
            reason=f"The model takes six finite numbers in meV: {', '.join(names)}.",
            fix="Give all of them in this order, or none for the published best fit.",
        )
    return values


def grid(algorithm: Any) -> Grid:
    """The bins of the result.

    Raises
    ------
    Exp2SimError
        If the template's axes are not h, k and energy, the bins make no sense, or Ei is not known.
    """
    template = algorithm.getProperty("TemplateWorkspace").value
    given = mdalgorithm.incident_energy(algorithm)
    if template is None:
        if given is None:
            raise Exp2SimError("The incident energy is not given.", fix="Set IncidentEnergy in meV.")
        return _checked(Grid(_axes(algorithm, given), (0, 1, 2), given))
    energy = mdworkspace.logged_incident_energy(template) if given is None else given
    if energy is None:
        raise Exp2SimError(
            "The incident energy is not given.",
            reason="The template has no sample log Ei.",
            fix="Set IncidentEnergy in meV.",
        )
    mask = None
    if str(algorithm.getProperty("Gaps").value) == "Template":
        mask = mdworkspace.read(template, incident_energy=energy).histogram.mask
    axes = mdworkspace.axes(template)
    return _checked(Grid(axes, _positions(axes), energy, mask))


def _positions(axes: tuple[Axis, ...]) -> tuple[int, int, int]:
    kinds = [axis.kind for axis in axes]
    others = [axis.name for axis in axes if axis.kind not in ORDER and axis.size > 1]
    if others or any(kinds.count(kind) != 1 for kind in ORDER):
        names = ", ".join(repr(axis.name) for axis in axes)
        raise Exp2SimError(
            f"The template has the axes {names}.",
            reason="A simulation needs h, k and energy transfer once each; others must be integrated.",
        )
    h, k, energy = (kinds.index(kind) for kind in ORDER)
    return h, k, energy


def _axes(algorithm: Any, incident_energy: float) -> tuple[Axis, ...]:
    made = []
    for name, title in (("HBins", "[H,0,0]"), ("KBins", "[0,K,0]"), ("EnergyBins", "DeltaE")):
        values = mdproperties.read_numbers(algorithm, name)
        if not values and name == "EnergyBins":
            values = [0.1 * incident_energy, 0.7 * incident_energy, 10]
        good = len(values) == 3 and np.isfinite(values).all() and values[0] < values[1]
        if not good or values[2] != int(values[2]) or not 1 <= values[2] <= 10_000:
            raise Exp2SimError(
                f"{name} is {values}.", reason="It takes minimum, maximum and number of bins (at most 10000)."
            )
        low, high, n = np.float32(values[0]), np.float32(values[1]), int(values[2])
        edges = np.linspace(float(low), float(high), n + 1)
        frame, unit = ("General Frame", "meV") if title == "DeltaE" else ("HKL", "r.l.u.")
        made.append(Axis(title, edges, unit=unit, frame=frame))
    return tuple(made)


def _checked(found: Grid) -> Grid:
    bins = int(np.prod([axis.size for axis in found.axes], dtype=np.int64))
    if bins > MAX_BINS:
        raise Exp2SimError(f"The result would have {bins} bins.", reason=f"At most {MAX_BINS} are simulated.")
    if found.edges()[2][-1] >= found.incident_energy:
        raise Exp2SimError(
            f"The energy transfer goes up to {found.edges()[2][-1]:g} meV.",
            reason=f"It must stay below the incident energy, {found.incident_energy:g} meV.",
        )
    return found


def issues(algorithm: Any) -> mdalgorithm.Issues:
    """Messages of ``validateInputs``."""
    output = [("OutputWorkspace", algorithm.getPropertyValue("OutputWorkspace"))]
    found = mdinputs.clashes([algorithm.getPropertyValue("TemplateWorkspace")], output)
    if not np.isfinite(algorithm.getProperty("NoiseLevel").value):
        found["NoiseLevel"] = "The noise level is a number."
    if not np.isfinite(algorithm.getProperty("IncidentEnergy").value):
        found["IncidentEnergy"] = "The incident energy is a positive number of meV."
        return found
    try:
        parameters(algorithm)
    except Exp2SimError as error:
        found["Parameters"] = str(error)
    if algorithm.getPropertyValue("Gaps") == "Template" and not algorithm.getPropertyValue(
        "TemplateWorkspace"
    ):
        found["Gaps"] = "There is no template to take the gaps from."
    try:
        grid(algorithm)
    except Exp2SimError as error:
        found[_guilty(algorithm, error)] = str(error)
    return found


def _guilty(algorithm: Any, error: Exp2SimError) -> str:
    if error.summary.startswith("The incident energy"):
        return "IncidentEnergy"
    named = [name for name in ("HBins", "KBins", "EnergyBins") if error.summary.startswith(name)]
    template = algorithm.getProperty("TemplateWorkspace").value is not None
    return named[0] if named else "TemplateWorkspace" if template else "EnergyBins"


def execute(algorithm: Any) -> None:
    """``PyExec``: everything is computed, then the workspace is made."""
    found = grid(algorithm)
    values = parameters(algorithm)
    model, kind = algorithm.getProperty("SpinWaveModel").value, algorithm.getProperty("Kind").value
    noise, seed = float(algorithm.getProperty("NoiseLevel").value), int(algorithm.getProperty("Seed").value)
    gaps = str(algorithm.getProperty("Gaps").value)
    own = None if found.mask is None else found.closed(found.mask)

    def work(progress: Any) -> tuple[Histogram, list[float]]:
        from mantid_exp2sim.simulation.binning import Binning
        from mantid_exp2sim.simulation.measurement import Gaps, simulate

        progress(1, 2, "simulating")
        binning = Binning(*found.edges(), found.incident_energy)
        mask: Gaps = "coverage" if gaps == "Detectors" else own
        result = simulate(
            model, values or None, binning=binning, kind=kind, noise=noise, seed=seed, mask=mask
        )
        progress(2, 2, "done")
        return result, result.metadata["history"][0]["parameters"]

    result, used = compute(work, mdalgorithm.reporter(algorithm), message="loading the simulator")
    output = _workspace(algorithm, found)
    output.setSignalArray(found.opened(result.intensity))
    output.setErrorSquaredArray(found.opened(result.variance))
    algorithm.setProperty("Parameters", mdproperties.format_numbers(used))
    algorithm.setProperty("IncidentEnergy", found.incident_energy)
    algorithm.setProperty("OutputWorkspace", output)


def _workspace(algorithm: Any, found: Grid) -> Any:
    """An empty workspace of these axes with the incident energy in its logs, in no data service."""
    bins = [axis.size for axis in found.axes]
    zeros = np.zeros(int(np.prod(bins)))
    properties = {
        "SignalInput": zeros,
        "ErrorInput": zeros,
        "Dimensionality": len(bins),
        "Extents": [float(edge) for axis in found.axes for edge in (axis.edges[0], axis.edges[-1])],
        "NumberOfBins": bins,
        "Names": [axis.name for axis in found.axes],
        "Units": [axis.unit for axis in found.axes],
        "Frames": [axis.frame for axis in found.axes],
    }
    output = mdalgorithm.child(algorithm, "CreateMDHistoWorkspace", properties)
    template = algorithm.getProperty("TemplateWorkspace").value
    if template is not None and template.getNumExperimentInfo():
        output.copyExperimentInfos(template)
    else:
        _add_run(algorithm, output)
    for index in range(output.getNumExperimentInfo()):
        run = output.getExperimentInfo(index).run()
        run.addProperty("Ei", found.incident_energy, "meV", True)
    return output


def _add_run(algorithm: Any, output: Any) -> None:
    """Give a workspace without runs an empty one that Mantid owns.

    Older versions of Mantid keep only Python's handle of what `addExperimentInfo` gets, and die with the
    workspace. The handle stays in a carrier that ends here; the output gets the copy that Mantid makes of it.
    """
    smallest = {
        "SignalInput": [0.0],
        "ErrorInput": [0.0],
        "Dimensionality": 1,
        "Extents": [0.0, 1.0],
        "NumberOfBins": [1],
        "Names": ["x"],
        "Units": ["x"],
    }
    carrier = mdalgorithm.child(algorithm, "CreateMDHistoWorkspace", smallest)
    carrier.addExperimentInfo(
        mdalgorithm.child(algorithm, "CreateWorkspace", {"DataX": [0.0, 1.0], "DataY": [0.0]})
    )
    output.copyExperimentInfos(carrier)
