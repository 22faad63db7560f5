"""SimulateSpinWavesMD: see docs/algorithms/SimulateSpinWavesMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import simulate as mdsimulate

SUMMARY = "Simulates the spin waves of a Hamiltonian, with or without the resolution of a spectrometer."


class SimulateSpinWavesMD(PythonAlgorithm):  # type: ignore[misc]
    """A Hamiltonian to an MDHistoWorkspace."""

    def category(self) -> str:
        """Where Workbench lists it."""
        return "MDAlgorithms\\Creation"

    def summary(self) -> str:
        """One sentence."""
        return SUMMARY

    def seeAlso(self) -> list[str]:
        """Neighbours."""
        return ["ConvolveMD", "DeconvolveMD", "ClassifySpinWavesMD", "SimulateResolutionConvolvedModel"]

    def helpURL(self) -> str:
        """Its page."""
        return mdproperties.help_page("SimulateSpinWavesMD")

    def PyInit(self) -> None:
        """Declare the properties."""
        mdsimulate.declare(self)

    def validateInputs(self) -> dict[str, str]:
        """Check parameters, bins and template."""
        return mdsimulate.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdsimulate.execute(self)


AlgorithmFactory.subscribe(SimulateSpinWavesMD)
