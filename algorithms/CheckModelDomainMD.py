"""CheckModelDomainMD: see docs/algorithms/CheckModelDomainMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import check_domain as mdcheck
from mantid_exp2sim.mantid import properties as mdproperties


class CheckModelDomainMD(PythonAlgorithm):  # type: ignore[misc]
    """Compare spectra with the data that a model was trained on."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "CheckModelDomainMD",
        "Says whether a spectrum is inside the domain of application of a trained model.",
        ["DeconvolveMD", "ConvolveMD", "ClassifySpinWavesMD"],
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdcheck.declare(self)

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, on the model's card alone."""
        return mdcheck.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdcheck.execute(self)


AlgorithmFactory.subscribe(CheckModelDomainMD)
