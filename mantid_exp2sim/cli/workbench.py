"""``exp2sim workbench install | uninstall | doctor``: the algorithms in MantidWorkbench."""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.output import emit

_EPILOG = """\
examples:
  exp2sim workbench install              add the algorithms to Workbench; start it again afterwards
  exp2sim workbench doctor               what is there, what is missing, and the way out of each trouble
  exp2sim workbench doctor --json        the same for a program
  exp2sim workbench uninstall            take the algorithms out again, and nothing else

Exit status of doctor: 0 if nothing stands in the way, 1 if something does.
"""
_MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "workbench",
        help="put the algorithms into MantidWorkbench, take them out, or see what is wrong",
        description="Put the algorithms into MantidWorkbench, take them out, or see what is wrong.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("install", "uninstall", "doctor"), help="what to do")
    parser.add_argument(
        "--properties",
        metavar="FILE",
        type=Path,
        help="Mantid's user properties (default: ~/.mantid/Mantid.user.properties)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    return _doctor(args) if args.action == "doctor" else _change(args)


def _change(args: argparse.Namespace) -> int:
    from mantid_exp2sim.mantid import install as workbench

    act = workbench.install if args.action == "install" else workbench.uninstall
    change = act(args.properties)
    done = {"install": "now names", "uninstall": "no longer names"}[args.action]
    already = {"install": "already names", "uninstall": "does not name"}[args.action]
    lines = [f"{change.properties} {done if change.changed else already} {change.folder}."]
    if change.backup is not None:
        lines.append(f"The file as it was: {change.backup}.")
    if change.warning:
        lines.append(f"Warning: {change.warning}")
    if change.changed:
        lines.append("Start Workbench again to see the change.")
    result = {
        "action": args.action,
        "properties": str(change.properties),
        "folder": str(change.folder),
        "changed": change.changed,
        "backup": None if change.backup is None else str(change.backup),
        "warning": change.warning,
    }
    emit(args, result, "\n".join(lines))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from mantid_exp2sim.mantid import install as workbench

    report = workbench.doctor(args.properties)
    lines = []
    for check in report.checks:
        lines.append(f"{_MARKS[check.status]}  {check.name:10}  {check.found}")
        if check.fix:
            lines.append(f"{'':21}-> {check.fix}")
    emit(args, report.to_dict(), "\n".join(lines))
    return 0 if report.ok else 1
