"""A page about a workspace, for a browser: the property ``ReportFile`` of the algorithms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.mantid import algorithm as mdalgorithm

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.inference.worker import Progress

REPORT = "ReportFile"
ENDING = ".html"


def declare(algorithm: Any) -> None:
    """Declare ``ReportFile``."""
    from mantid.api import FileAction, FileProperty

    algorithm.declareProperty(
        FileProperty(REPORT, "", FileAction.OptionalSave, [ENDING]),
        "Page for a browser about the data: verdict, pictures before and after, cuts, correlations. "
        "Of several workspaces, or members of a group, each has one with its name. Nothing is replaced.",
    )


def asked(algorithm: Any) -> bool:
    """Say whether a page is asked for."""
    return bool(algorithm.getPropertyValue(REPORT))


def places(algorithm: Any, names: Iterable[str]) -> dict[str, Path]:
    """Return the page of each workspace; that of several, or of a child, has the workspace's name.

    Mantid runs an algorithm as a child for each member of a group.
    """
    if not asked(algorithm):
        return {}
    path, names = Path(str(algorithm.getPropertyValue(REPORT))), list(names)
    if len(names) == 1 and not algorithm.isChild():
        return {names[0]: path}
    return {name: path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names}


def issues(algorithm: Any, names: Iterable[str]) -> mdalgorithm.Issues:
    """Return the message about a page that cannot be written."""
    for page in places(algorithm, names).values():
        if page.suffix.lower() != ENDING:
            return {REPORT: f"{page.name} is no page. Let its name end in {ENDING}."}
        if not page.parent.is_dir():
            return {REPORT: f"There is no folder {page.parent}. Make it first."}
        if page.exists():
            return {REPORT: f"{page} is there already. Give another name, or remove it."}
    return {}


def write(
    algorithm: Any,
    histograms: Mapping[str, Histogram],
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> None:
    """Write the pages that are asked for, with the options of `mantid_exp2sim.report`; a cancel ends it.

    ``settings`` are those of one workspace each.
    """
    pages = places(algorithm, histograms)

    def work(progress: Progress) -> None:
        from mantid_exp2sim.reporting import report

        for name, page in pages.items():
            of_one = {} if settings is None else settings[name]
            report(histograms[name], page, name=name, progress=progress, **options, **of_one)

    if pages:
        mdalgorithm.computed(algorithm, work, message="writing the page")
        algorithm.log().notice(f"Page for a browser: {', '.join(map(str, pages.values()))}")
