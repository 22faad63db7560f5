"""The right of the window: verdict, correlations, constants and history."""

from __future__ import annotations

from qtpy.QtWidgets import QTabWidget, QTextBrowser, QWidget

from mantid_exp2sim.interface import answers
from mantid_exp2sim.interface.qt.widgets import named
from mantid_exp2sim.interface.session import Entry, Outcome

TABS = {
    "domain": "Verdict",
    "classification": "Model",
    "fit": "Constants",
    "data": "Data",
}
COLOURS = {
    "trustworthy": "#1b7837",
    "expert opinion": "#b35806",
    "untrustworthy": "#b2182b",
    "not known": "#6e6e6e",
}
"""White text on each has a contrast above 4.5."""
_NOT_YET = "<p>Not asked yet: {}.</p>"


class AnswerTabs(QTabWidget):
    """Tell what came out, a tab for each question."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pages: dict[str, QTextBrowser] = {}
        named(self, "Answers")
        for key, title in TABS.items():
            self.pages[key] = QTextBrowser()
            named(self.pages[key], title)
            self.addTab(self.pages[key], title)
        self.setMinimumWidth(240)

    def empty(self) -> None:
        """Say nothing."""
        for page in self.pages.values():
            page.setHtml("<p>No data yet: open a file.</p>")

    def show_outcome(self, entry: Entry, outcome: Outcome) -> None:
        """Tell what was computed of an entry."""
        word, reasons = answers.verdict(outcome)
        colour = COLOURS.get(word, "")
        head = f"<p><span style='background:{colour};color:white'>&nbsp;{word}&nbsp;</span></p>"
        text = (head if word else _NOT_YET.format("Check, or Run")) + reasons
        self.pages["domain"].setHtml(text)
        said = outcome.classification
        self.pages["classification"].setHtml(
            _NOT_YET.format("Classify") if said is None else answers.correlations(said)
        )
        self.pages["fit"].setHtml(
            _NOT_YET.format("Fit") if outcome.fit is None else answers.constants(outcome.fit)
        )
        latest = entry.histogram if outcome.translation is None else outcome.translation.histogram
        self.pages["data"].setHtml(answers.about_data(entry.histogram) + answers.history(latest))

    def show_kind(self, kind: str) -> None:
        """Turn to the tab of a result."""
        self.setCurrentWidget(self.pages["domain" if kind == "translation" else kind])
