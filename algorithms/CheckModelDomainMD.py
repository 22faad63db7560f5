"""CheckModelDomainMD: see docs/algorithms/CheckModelDomainMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import check_domain as mdcheck
from mantid_exp2sim.mantid import properties as mdproperties


class CheckModelDomainMD(PythonAlgorithm):  # type: ignore[misc]
    """Says whether a spectrum is inside the domain that a trained model knows."""

    def category(self) -> str:
        """Where Workbench lists it."""
        return mdproperties.CATEGORY

    def summary(self) -> str:
        """One sentence."""
        return "Says whether a spectrum is inside the domain that a trained model knows."

    def seeAlso(self) -> list[str]:
        """Neighbours."""
        return ["DeconvolveMD", "ConvolveMD", "ClassifySpinWavesMD"]

    def helpURL(self) -> str:
        """Its page."""
        return mdproperties.help_page("CheckModelDomainMD")

    def PyInit(self) -> None:
        """Declare the properties."""
        mdcheck.declare_input(self)
        mdproperties.declare_model(self)
        mdproperties.declare_data(self)
        mdcheck.declare_answer(self)

    def validateInputs(self) -> dict[str, str]:
        """Check model and workspaces on the model's card."""
        return mdcheck.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdcheck.execute(self)


AlgorithmFactory.subscribe(CheckModelDomainMD)
