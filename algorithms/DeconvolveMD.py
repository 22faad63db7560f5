"""DeconvolveMD: see docs/algorithms/DeconvolveMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import properties as mdproperties
from mantid_exp2sim.mantid import translate as mdtranslate


class DeconvolveMD(PythonAlgorithm):  # type: ignore[misc]
    """Take the instrument's resolution out of a measured spectrum."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "DeconvolveMD",
        "Takes the instrument's resolution out of a measured spectrum, with a trained model or without.",
        ["ConvolveMD", "ClassifySpinWavesMD", "SimulateSpinWavesMD", "SmoothMD"],
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdtranslate.declare(self, "deconvolve")

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, on the model's card alone."""
        return mdtranslate.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdtranslate.execute(self, "deconvolve")


AlgorithmFactory.subscribe(DeconvolveMD)
