"""ClassifySpinWavesMD: see docs/algorithms/ClassifySpinWavesMD.md."""

from mantid.api import ADSValidator, AlgorithmFactory, ITableWorkspaceProperty, PythonAlgorithm
from mantid.kernel import Direction, StringArrayProperty

from mantid_exp2sim.mantid import classify as mdclassify
from mantid_exp2sim.mantid import properties as mdproperties

SUMMARY = "Says which spin-wave model measured or simulated spectra show, and how certain that is."


class ClassifySpinWavesMD(PythonAlgorithm):  # type: ignore[misc]
    """Which spin-wave model data show."""

    def category(self) -> str:
        """Where Workbench lists it."""
        return mdproperties.CATEGORY

    def summary(self) -> str:
        """One sentence."""
        return SUMMARY

    def seeAlso(self) -> list[str]:
        """Neighbours."""
        return ["DeconvolveMD", "ConvolveMD", "SimulateSpinWavesMD"]

    def helpURL(self) -> str:
        """Its page."""
        return mdproperties.help_page("ClassifySpinWavesMD")

    def PyInit(self) -> None:
        """Declare the properties."""
        self.declareProperty(
            StringArrayProperty("InputWorkspace", ADSValidator()),
            "MDHistoWorkspaces or groups of them, separated by commas.",
        )
        self.declareProperty(
            ITableWorkspaceProperty("OutputWorkspace", "", Direction.Output),
            "A table with a row for each workspace: prediction, certainty, correlation with each model.",
        )
        mdclassify.declare_choice(self)
        mdproperties.declare_model(self)
        mdproperties.declare_data(self, several=True)

    def validateInputs(self) -> dict[str, str]:
        """Check model and workspaces on the model's card."""
        return mdclassify.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdclassify.execute(self)


AlgorithmFactory.subscribe(ClassifySpinWavesMD)
