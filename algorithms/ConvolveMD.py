"""ConvolveMD: see docs/algorithms/ConvolveMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import algorithm as mdalgorithm
from mantid_exp2sim.mantid import properties as mdproperties


class ConvolveMD(PythonAlgorithm):  # type: ignore[misc]
    """Puts the instrument's resolution into a simulated spectrum with a trained model."""

    def category(self) -> str:
        """Where Workbench lists it."""
        return mdproperties.CATEGORY

    def summary(self) -> str:
        """One sentence."""
        return "Puts the instrument's resolution into a simulated spectrum with a trained model."

    def seeAlso(self) -> list[str]:
        """Neighbours."""
        return ["DeconvolveMD", "ClassifySpinWavesMD", "SimulateSpinWavesMD", "SmoothMD"]

    def helpURL(self) -> str:
        """Its page."""
        return mdproperties.help_page("ConvolveMD")

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
        mdalgorithm.translate(self, "convolve")


AlgorithmFactory.subscribe(ConvolveMD)
