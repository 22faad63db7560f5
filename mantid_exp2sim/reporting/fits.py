"""The result of a fit on a page: from the fit itself, or from the folder that ``exp2sim fit --out`` wrote."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.fitting.result import Fit
from mantid_exp2sim.reporting.pictures import encoded


@dataclass(frozen=True, slots=True)
class FitSummary:
    """The dictionary of a fit, and a picture of each model's posterior (PNG in base64)."""

    report: Mapping[str, Any]
    corners: Mapping[str, str]


def summarise(fit: Fit | str | os.PathLike[str]) -> FitSummary:
    """Return what a page shows of a fit. Raises `Exp2SimError` where a folder holds no fit."""
    if isinstance(fit, Fit):
        from mantid_exp2sim.plotting.fit import draw_corner

        corners = {name: encoded(draw_corner(model)) for name, model in fit.models.items()}
        return FitSummary(fit.to_dict(), corners)
    folder = Path(fit)
    if not (folder / "fit.json").is_file():
        raise Exp2SimError(
            f"{folder} has no result of a fit.",
            reason="There is no fit.json in it.",
            fix="Give the folder that `exp2sim fit --out` wrote.",
        )
    pictures = {
        path.stem.removesuffix("-corner"): base64.b64encode(path.read_bytes()).decode()
        for path in sorted(folder.glob("*-corner.png"))
    }
    return FitSummary(json.loads((folder / "fit.json").read_text(encoding="utf-8")), pictures)
