"""DeconvolveMD: see docs/algorithms/DeconvolveMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import properties as mdproperties


class DeconvolveMD(PythonAlgorithm):  # type: ignore[misc]
    """Takes the instrument's resolution out of a measured spectrum with a trained model."""

    def category(self) -> str:
        """Where Workbench lists it."""
        return mdproperties.CATEGORY

    def summary(self) -> str:
        """One sentence."""
        return "Takes the instrument's resolution out of a measured spectrum with a trained model."

    def seeAlso(self) -> list[str]:
        """Neighbours."""
        return ["ConvolveMD", "ClassifySpinWavesMD", "SimulateSpinWavesMD", "SmoothMD"]

    def helpURL(self) -> str:
        """Its page."""
        return mdproperties.help_page("DeconvolveMD")

    def PyInit(self) -> None:
        """Declare the properties."""
        mdproperties.declare_workspaces(self)
        mdproperties.declare_model(self)
        mdproperties.declare_force(self)
        mdproperties.declare_data(self)
        mdproperties.declare_errors(self)

    def validateInputs(self) -> dict[str, str]:
        """Check model and workspace on the model's card."""
        return mdalgorithm.translation_issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdalgorithm.translate(self, "deconvolve")


AlgorithmFactory.subscribe(DeconvolveMD)
