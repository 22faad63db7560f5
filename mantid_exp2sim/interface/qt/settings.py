"""The left of the window: what is asked of the data."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.qt.widgets import choices, field, named
from mantid_exp2sim.interface.session import Choice, read_numbers
from mantid_exp2sim.model.registry import DEFAULT_MODEL, list_models

FROM_DATA = "from the data"
DIRECTIONS = ("deconvolve", "convolve")
BACKGROUNDS = ("none", "constant", "smooth")


class Settings(QWidget):
    """Ask for method, model, instrument and what else a `Choice` holds."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from mantid_exp2sim.simulation.instrument import shipped_instruments

        models = list(list_models())
        self.direction = choices("Direction", DIRECTIONS, "Take the resolution out, or put it in")
        self.method = choices("Method", (), "auto: the network where it can be trusted, else the resolution")
        self.model = choices("Model", models, "A trained model that is installed")
        if DEFAULT_MODEL in models:
            self.model.setCurrentText(DEFAULT_MODEL)
        instruments = [FROM_DATA, "MAPS", *sorted(shipped_instruments())]
        self.instrument = choices("Instrument", instruments, "The spectrometer, for its resolution")
        self.energy = field("Incident energy", FROM_DATA, "In meV")
        self.frequency = field("Chopper frequency", FROM_DATA, "In Hz")
        self.lattice = field("Lattice", FROM_DATA, "a, b, c in Å, and the angles in degrees")
        self.background = choices("Background", BACKGROUNDS, "Taken off first by the method richardson-lucy")
        self.errors = QCheckBox("Errors of the &result")
        named(self.errors, "Errors of the result", "Propagate the noise of the data")
        self.errors.setChecked(True)
        self.force = QCheckBox("E&ven outside the domain")
        named(self.force, "Even outside the domain", "Let the network take data it was not trained for")
        self.spin_models = field("Fitted models", "Dimer Goodenough", "Names or TOML files")
        self.spin_models.setText("Dimer Goodenough")
        self.thorough = QCheckBox("&Thorough fit")
        named(self.thorough, "Thorough fit", "Many starts and draws: takes several times as long")
        self._lay_out()
        self.direction.currentTextChanged.connect(lambda _: self._offer_methods())
        self._offer_methods()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        rows: dict[str, QWidget] = {
            "&Direction": self.direction,
            "&Method": self.method,
            "M&odel": self.model,
            "&Instrument": self.instrument,
            "Incident &energy": self.energy,
            "C&hopper": self.frequency,
            "L&attice": self.lattice,
            "&Background": self.background,
        }
        for text, widget in rows.items():
            form.addRow(text, widget)
        form.addRow(self.errors)
        form.addRow(self.force)
        form.addRow("F&itted models", self.spin_models)
        form.addRow(self.thorough)

    def _offer_methods(self) -> None:
        from mantid_exp2sim.application.deconvolve import METHODS

        before = self.method.currentText()
        self.method.clear()
        self.method.addItems(
            ["auto", *[name for name in METHODS[self.direction.currentText()] if name != "auto"]]
        )
        if before in ("auto", "network"):
            self.method.setCurrentText(before)
        self.background.setEnabled(self.direction.currentText() == "deconvolve")

    def choice(self) -> Choice:
        """Return what is asked.

        Raises
        ------
        Exp2SimError
            If a number cannot be read.
        """
        if not self.model.currentText():
            raise Exp2SimError("No model is installed.", fix="Install one: `exp2sim models add`.")
        instrument = self.instrument.currentText()
        return Choice(
            direction="deconvolve" if self.direction.currentText() == "deconvolve" else "convolve",
            method=self.method.currentText(),  # type: ignore[arg-type]
            model=self.model.currentText(),
            instrument=None if instrument == FROM_DATA else instrument,
            incident_energy=_number(self.energy.text()),
            frequency=_number(self.frequency.text()),
            lattice=read_numbers(self.lattice.text()),
            background=self.background.currentText(),  # type: ignore[arg-type]
            uncertainty=self.errors.isChecked(),
            force=self.force.isChecked(),
            spin_models=tuple(self.spin_models.text().replace(",", " ").split()),
            thorough=self.thorough.isChecked(),
        )


def _number(text: str) -> float | None:
    numbers = read_numbers(text)
    return None if numbers is None else numbers[0]
