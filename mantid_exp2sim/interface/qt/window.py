"""The window: data on the left, pictures in the middle, answers on the right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QCloseEvent, QGuiApplication, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QInputDialog,
    QListWidget,
    QMainWindow,
    QMessageBox,
    QProgressBar,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface import script, workspaces
from mantid_exp2sim.interface.export import save_picture
from mantid_exp2sim.interface.qt.answer_tabs import AnswerTabs
from mantid_exp2sim.interface.qt.job import Job
from mantid_exp2sim.interface.qt.pictures import Pictures
from mantid_exp2sim.interface.qt.settings import Settings
from mantid_exp2sim.interface.qt.widgets import button, named
from mantid_exp2sim.interface.session import PARTS, Entry, Part, Session, read_entry
from mantid_exp2sim.interface.views import TITLES
from mantid_exp2sim.interface.work import WORK, Kind
from mantid_exp2sim.io import ENDINGS

READ = "Data (*.nxs *.npy *.npz *.sqw *.d1d *.d2d *.d3d *.d4d *.mat *.nxspe);;All files (*)"
WRITTEN = f"Data ({' '.join('*' + ending for ending in ENDINGS)})"
DRAWN = "Pictures (*.png *.pdf *.svg)"
LAST_WAIT = 5000
"""Milliseconds that a closing window waits for work that it has cancelled."""
_unfinished: set[Job] = set()
"""Threads that outlive their window until their next step: Qt must not lose one that runs."""


class Window(QMainWindow):
    """Deconvolve, check, classify and fit data, and look at them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = Session()
        self.job: Job | None = None
        self.setWindowTitle("exp2sim")
        self.setAcceptDrops(True)
        self.list = QListWidget()
        named(self.list, "Data", "Files and workspaces; the arrow keys go from one to the next")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.currentTextChanged.connect(self._look_at)
        self.settings = Settings()
        self.pictures = Pictures(self.session)
        self.pictures.told.connect(self.tell)
        self.answers = AnswerTabs()
        self.progress = QProgressBar()
        named(self.progress, "Progress")
        self.progress.setFormat("ready")
        self.buttons = self._buttons()
        self._lay_out()
        self._menus()
        self._free()
        self.resize(1360, 820)

    def _buttons(self) -> dict[str, Any]:
        tips: dict[Kind, tuple[str, str, str]] = {
            "translation": ("&Run", "Deconvolve or convolve the data", "Ctrl+R"),
            "domain": ("Chec&k", "Ask whether the data are like those of the training", "Ctrl+D"),
            "classification": ("Cla&ssify", "Ask which spin-wave model the data show", "Ctrl+K"),
            "fit": ("&Fit", "Fit the constants of spin-wave models, with errors", "Ctrl+F"),
        }
        return {
            "open": button("&Open…", self.ask_files, "Load files", "Ctrl+O"),
            "remove": button("Remove", self.remove, "Take the data out of the window", "Ctrl+W"),
            **{
                kind: button(text, partial(self.start, kind), tip, shortcut)
                for kind, (text, tip, shortcut) in tips.items()
            },
            "cancel": button("Cancel", self.cancel, "End the work", "Esc"),
        }

    def _lay_out(self) -> None:
        left, layout = QWidget(), QVBoxLayout()
        left.setLayout(layout)
        pairs = (("open", "remove"), ("translation", "domain"), ("classification", "fit"))
        rows = [_row([self.buttons[name] for name in pair]) for pair in pairs]
        for widget in (rows[0], self.list, self.settings, *rows[1:], self.progress, self.buttons["cancel"]):
            layout.addWidget(widget)
        layout.setStretchFactor(self.list, 1)
        scroll = QScrollArea()
        scroll.setWidget(left)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(left.sizeHint().width() + 24)
        splitter = QSplitter()
        for part, stretch in ((scroll, 0), (self.pictures, 1), (self.answers, 0)):
            splitter.addWidget(part)
            splitter.setStretchFactor(splitter.count() - 1, stretch)
        splitter.setSizes([300, 800, 320])
        self.setCentralWidget(splitter)
        self.statusBar()

    def _menus(self) -> None:
        self.actions_by_name: dict[str, QAction] = {}
        mantid: list[tuple[str, Callable[[], object], str]] = []
        if workspaces.in_mantid():
            mantid = [
                ("Add &workspaces…", self.ask_workspaces, "Ctrl+Shift+O"),
                ("Result to &Mantid", self.to_mantid, "Ctrl+M"),
            ]
        self._menu("&File", [
            ("&Open…", self.ask_files, ""), *mantid,
            ("&Save a part…", self.ask_save, "Ctrl+S"), ("&Export the picture…", self.ask_picture, "Ctrl+E"),
            ("&Close", self.close, "Ctrl+Q"),
        ])  # fmt: skip
        self._menu("&Script", [
            ("Copy as &Python script", self.copy_python, "Ctrl+Shift+C"),
            ("Copy as &Mantid script", self.copy_mantid, "Ctrl+Shift+M"),
        ])  # fmt: skip

    def _menu(self, title: str, entries: Iterable[tuple[str, Callable[[], object], str]]) -> None:
        menu = self.menuBar().addMenu(title)
        assert menu is not None
        for text, act, shortcut in entries:
            action = QAction(text, self)
            if shortcut:
                action.setShortcut(QKeySequence(shortcut))
            action.triggered.connect(partial(self._try, act))
            menu.addAction(action)
            self.actions_by_name[text.replace("&", "").rstrip("…")] = action

    def tell(self, text: str) -> None:
        """Say something in the status bar."""
        self.statusBar().showMessage(text, 15000)

    def _try(self, act: Callable[[], object], *_: object) -> None:
        """Do something; an error is told and changes nothing."""
        try:
            act()
        except Exp2SimError as error:
            self.complain(str(error))

    def complain(self, text: str) -> None:
        """Show what went wrong in a box that does not block."""
        self.tell(text)
        box = QMessageBox(QMessageBox.Icon.Warning, "exp2sim", text, parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    # Data

    def ask_files(self) -> None:
        """Ask for files, and load them."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Open data", "", READ)
        self.load(paths)

    def load(self, paths: Sequence[str | Path]) -> None:
        """Load files in a thread."""
        if paths:
            self._start(lambda progress: _read_all(paths, progress), self._add_all, "loading")

    def ask_workspaces(self) -> None:
        """Add the workspaces that are selected in Workbench, or ask for one."""
        names = workspaces.selected_names()
        if not names:
            name, agreed = QInputDialog.getItem(
                self, "Add a workspace", "MDHistoWorkspace", workspaces.workspace_names(), 0, False
            )
            names = [name] if agreed and name else []
        self.add_workspaces(names)

    def add_workspaces(self, names: Sequence[str]) -> None:
        """Add workspaces by name."""
        self._add_all(([workspaces.workspace_entry(name) for name in names], []))

    def _add_all(self, loaded: tuple[Sequence[Entry], Sequence[str]]) -> None:
        entries, problems = loaded
        for entry in entries:
            self.list.addItem(self.session.add(entry).name)
        if entries:
            self.list.setCurrentRow(self.list.count() - 1)
        if problems:
            self.complain("\n".join(problems))

    def _look_at(self, name: str) -> None:
        self.session.current = name or None
        self.refresh()

    def remove(self) -> None:
        """Forget the data that are looked at."""
        if self.session.current is not None:
            self.session.remove(self.session.current)
            self.list.takeItem(self.list.currentRow())

    def refresh(self) -> None:
        """Show what is there of the data that are looked at."""
        self.pictures.refresh()
        if self.session.current is None:
            self.answers.empty()
        else:
            entry = self.session.entry
            self.answers.show_outcome(entry, self.session.outcome(entry.name))
        self._free()

    # Work

    def start(self, kind: Kind) -> None:
        """Start work on the data that are looked at."""
        self._try(partial(self._start_work, kind))

    def _start_work(self, kind: Kind) -> None:
        entry, choice = self.session.entry, self.settings.choice()

        def record(value: object) -> None:
            self.session.record(entry.name, kind, value, choice)
            self.refresh()
            self.answers.show_kind(kind)

        self._start(lambda progress: WORK[kind](entry, choice, progress), record, kind)

    def _start(self, work: Callable[[Any], Any], then: Callable[[Any], None], text: str) -> None:
        if self.job is not None:
            self.tell("Wait for the work that runs, or cancel it.")
            return
        job = Job(work, None)
        _unfinished.add(job)
        self.job = job
        job.progressed.connect(self._progressed)
        job.succeeded.connect(partial(self._ended, then))
        job.failed.connect(partial(self._ended, self.complain))
        job.cancelled.connect(partial(self._ended, lambda: self.tell("Cancelled; nothing was changed.")))
        job.finished.connect(partial(_unfinished.discard, job))
        self.progress.setRange(0, 0)
        self._progressed(0.0, text)
        self._free()
        job.start()

    def _progressed(self, fraction: float, text: str) -> None:
        if self.job is not None:
            self.progress.setRange(0, 1000 if fraction else 0)
            self.progress.setValue(int(1000 * fraction))
            self.progress.setFormat(f"{text} %p %")
            self.tell(text)

    def _ended(self, then: Callable[..., None], *result: Any) -> None:
        self.job = None
        self.progress.setRange(0, 1)
        self.progress.reset()
        self.progress.setFormat("ready")
        self.statusBar().clearMessage()
        then(*result)
        self._free()

    def cancel(self) -> None:
        """Ask the work to end."""
        if self.job is not None:
            self.job.cancel()
            self.tell("Cancelling…")

    def _free(self) -> None:
        """Enable what can be done now."""
        idle, has_data = self.job is None, self.session.current is not None
        for name, widget in self.buttons.items():
            needs_data = name not in ("open", "cancel")
            widget.setEnabled(not idle if name == "cancel" else idle and (has_data or not needs_data))

    # Results

    def ask_save(self) -> None:
        """Ask which part to save, and where; a file that is there is replaced only if the user says so."""
        names = [name for name in PARTS if self.session.part(name) is not None]
        titles = [TITLES[name] for name in names]
        start = titles.index(TITLES["after"]) if "after" in names else 0
        title, agreed = QInputDialog.getItem(self, "Save a part", "Part", titles, start, False)
        if not agreed:
            return
        # The dialog asks before it names a file that is there.
        path, _ = QFileDialog.getSaveFileName(self, "Save", "result.npz", WRITTEN)
        if path:
            self.save(names[titles.index(title)], Path(path), overwrite=True)

    def save(self, part: Part, path: Path, *, overwrite: bool = False) -> None:
        """Write a part of the data that are looked at."""
        self.session.save(part, path, overwrite=overwrite)
        self.tell(f"Saved {path}.")

    def to_mantid(self) -> None:
        """Put the result into a new workspace beside the one it is from."""
        entry, result = self.session.entry, self.session.part("after")
        if entry.workspace is None or result is None:
            raise Exp2SimError(
                "There is no result of a workspace.", fix="Add a workspace, and run it; save others as files."
            )
        name = f"{entry.workspace}_result"
        workspaces.write_workspace(result, entry.workspace, name)
        self.tell(f"The result is the workspace {name}.")

    def ask_picture(self) -> None:
        """Ask where to write the picture."""
        path, _ = QFileDialog.getSaveFileName(self, "Export the picture", "picture.png", DRAWN)
        if path:
            self.export(Path(path))

    def export(self, path: Path) -> None:
        """Write the pictures as they are seen, black on white."""
        save_picture(self.session, self.pictures.view, path)
        self.tell(f"Saved {path}.")

    def copy_python(self) -> None:
        """Put a Python script of what was done into the clipboard."""
        self._copy(script.python_script(self.session, self.pictures.view))

    def copy_mantid(self) -> None:
        """Put a script of Mantid's algorithms into the clipboard."""
        self._copy(script.mantid_script(self.session))

    def _copy(self, text: str) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        self.tell("The script is in the clipboard.")

    # Qt

    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are dragged here."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Load files that are dropped."""
        self.load([url.toLocalFile() for url in event.mimeData().urls()])

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the work that runs."""
        if self.job is not None:
            job, self.job = self.job, None
            job.blockSignals(True)
            job.cancel()
            if job.wait(LAST_WAIT):
                _unfinished.discard(job)
        super().closeEvent(event)


def _row(widgets: Sequence[QWidget]) -> QWidget:
    from qtpy.QtWidgets import QHBoxLayout

    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row


def _read_all(paths: Sequence[str | Path], progress: Any) -> tuple[list[Entry], list[str]]:
    """Load files; one that cannot be read does not stop the others."""
    entries, problems = [], []
    for number, path in enumerate(paths):
        progress(number, len(paths), f"load {Path(path).name}")
        try:
            entries.append(read_entry(path))
        except Exp2SimError as error:
            problems.append(str(error))
    return entries, problems
