"""FitSpinWavesMD: see docs/algorithms/FitSpinWavesMD.md."""

from mantid.api import AlgorithmFactory, PythonAlgorithm

from mantid_exp2sim.mantid import fit as mdfit
from mantid_exp2sim.mantid import properties as mdproperties


class FitSpinWavesMD(PythonAlgorithm):  # type: ignore[misc]
    """Fit the constants of spin-wave models to measurements."""

    category, summary, seeAlso, helpURL = mdproperties.describe(
        "FitSpinWavesMD",
        "Fits the constants of spin-wave models to measurements, with errors, and says which model fits.",
        ["SimulateSpinWavesMD", "ClassifySpinWavesMD", "FitResolutionConvolvedModel"],
    )

    def PyInit(self) -> None:
        """Declare the properties."""
        mdfit.declare(self)

    def validateInputs(self) -> dict[str, str]:
        """Check the properties, without a fit."""
        return mdfit.issues(self)

    def PyExec(self) -> None:
        """Run it."""
        mdfit.execute(self)


AlgorithmFactory.subscribe(FitSpinWavesMD)
