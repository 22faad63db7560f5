"""ConvolveMD: see docs/algorithms/ConvolveMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import translate as mdtranslate


class ConvolveMD(PythonAlgorithm):  # type: ignore[misc]
    """Put the instrument's resolution into a simulated spectrum."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "ConvolveMD",
        "Puts the instrument's resolution into a simulated spectrum, with a trained model or without.",
        ["DeconvolveMD", "ClassifySpinWavesMD", "SimulateSpinWavesMD", "SmoothMD"],
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdtranslate.declare(self, "convolve")

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, on the model's card alone."""
        return mdtranslate.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdtranslate.execute(self, "convolve")


AlgorithmFactory.subscribe(ConvolveMD)
