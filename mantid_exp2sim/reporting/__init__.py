"""One page about one measurement, for a browser without a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.application.deconvolve import Method
    from mantid_exp2sim.fitting.result import Fit
    from mantid_exp2sim.histogram import Histogram


def report(
    data: Histogram | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    method: Method = "auto",
    title: str | None = None,
    name: str | None = None,
    fit: Fit | str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Write one HTML page about one measurement: the answer, pictures with sliders, and the figures.

    Parameters
    ----------
    data
        A mosaic, volume, slice or cut, or the file of one.
    path
        The page to write, .html; nothing is replaced without ``overwrite``.
    model
        Name or folder of the model that checks, classifies and may deconvolve; by default the shipped one.
    method
        As in `mantid_exp2sim.deconvolve`. Where no method serves, the page says why.
    title, name
        Heading; by default that of the data, or ``name``: what the data are called, by default their file.
    fit
        A result of `mantid_exp2sim.fit`, or the folder that ``exp2sim fit --out`` wrote.
    options
        As those of `mantid_exp2sim.deconvolve`: ``instrument``, ``incident_energy``, ``background`` …

    Returns
    -------
    Path
        Of the page.
    """
    from mantid_exp2sim.io import load
    from mantid_exp2sim.reporting.findings import examine
    from mantid_exp2sim.reporting.fits import summarise
    from mantid_exp2sim.reporting.page import page
    from mantid_exp2sim.storage.atomic import atomic_path, require_place

    place = Path(path)
    if place.suffix.lower() != ".html":
        raise Exp2SimError(f"{path} is no name of a page.", fix="Let it end in .html.")
    require_place(place, overwrite=overwrite)
    summary = None if fit is None else summarise(fit)
    if isinstance(data, str | os.PathLike):
        histogram, name = load(data), name or Path(data).name
    else:
        histogram, name = data, name or "data of this session"
    findings = examine(histogram, name, model=model, method=method, options=options)
    heading = title or str(histogram.metadata.get("title") or name)
    if (progress := options.get("progress")) is not None:
        progress(1, 1, "write the page")
    text = page(findings, title=heading, fit=summary)
    with atomic_path(place) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return place
