"""What ``exp2sim deconvolve`` takes out: its files, and what is said of it."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.cli.output import complain

if TYPE_CHECKING:
    from mantid_exp2sim.application.intensity import LostIntensity
    from mantid_exp2sim.inference.translate import Translation
    from mantid_exp2sim.simulation.setting import Setting


def setting_of(args: argparse.Namespace) -> Setting:
    """Return what the options say of the measurement."""
    from mantid_exp2sim.simulation.setting import Setting

    return Setting(**{field.name: getattr(args, field.name) for field in fields(Setting)})


def is_separated(args: argparse.Namespace) -> bool:
    """Say whether background and residual are needed."""
    return bool(args.removed or args.residual or args.keep_background)


def write_separated(args: argparse.Namespace, translation: Translation) -> Translation:
    """Write background and residual; put the background back into the result if asked."""
    from mantid_exp2sim.inference.parts import with_background
    from mantid_exp2sim.io import save

    for path, part in ((args.removed, translation.removed), (args.residual, translation.residual)):
        if path is not None and part is not None:
            save(part, path, overwrite=args.overwrite)
    if not args.keep_background:
        return translation
    return replace(translation, histogram=with_background(translation))


def about_parts(
    args: argparse.Namespace, translation: Translation, lost: LostIntensity | None
) -> dict[str, Any]:
    """Return what the report says of the parts, and of the intensity that is lost; warn of much."""
    if lost is None:
        return {}
    for text in lost.warnings:
        complain(f"warning: {text}")
    return {
        "intensity_lost": lost.to_dict(),
        "removed": None if args.removed is None else str(args.removed),
        "residual": None if args.residual is None else str(args.residual),
        "background_kept": bool(args.keep_background),
        "put_back_through": translation.put_back_through or None,
    }


def parts_text(report: dict[str, Any]) -> list[str]:
    """Return the lines about the parts."""
    if "intensity_lost" not in report:
        return []
    lines = [report["intensity_lost"]["words"]]
    through = f"the result put back through {report['put_back_through']}"
    if report["removed"]:
        lines.append(f"{report['removed']}: the background that was taken out; {through}")
    if report["residual"]:
        lines.append(f"{report['residual']}: what the data have beyond background and result; {through}")
    if report["background_kept"]:
        lines.append(f"the background is in the result, not sharpened; {through}")
    return lines
