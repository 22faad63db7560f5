"""ClassifySpinWavesMD: see docs/algorithms/ClassifySpinWavesMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import classify as mdclassify
from mantid_exp2sim.mantid import properties as mdproperties


class ClassifySpinWavesMD(PythonAlgorithm):  # type: ignore[misc]
    """Tell which spin-wave model spectra show."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "ClassifySpinWavesMD",
        "Says which spin-wave model measured or simulated spectra show, and how certain that is.",
        ["DeconvolveMD", "ConvolveMD", "SimulateSpinWavesMD", "FitSpinWavesMD"],
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdclassify.declare(self)

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, on the model's card alone."""
        return mdclassify.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdclassify.execute(self)


AlgorithmFactory.subscribe(ClassifySpinWavesMD)
