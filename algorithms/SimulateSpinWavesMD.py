"""SimulateSpinWavesMD: see docs/algorithms/SimulateSpinWavesMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import simulate as mdsimulate


class SimulateSpinWavesMD(PythonAlgorithm):  # type: ignore[misc]
    """Simulate the spin waves of a Hamiltonian."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "SimulateSpinWavesMD",
        "Simulates the spin waves of a Hamiltonian, with or without the resolution of a spectrometer.",
        ["ConvolveMD", "DeconvolveMD", "FitSpinWavesMD", "SimulateResolutionConvolvedModel"],
        category="MDAlgorithms\\Creation",
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdsimulate.declare(self)

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, on the model's card alone."""
        return mdsimulate.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdsimulate.execute(self)


AlgorithmFactory.subscribe(SimulateSpinWavesMD)
