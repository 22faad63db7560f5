"""Put the algorithms into MantidWorkbench: ``exp2sim workbench install | uninstall | doctor``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mantid_exp2sim.cli.options import add_command
from mantid_exp2sim.cli.output import emit

_EPILOG = """\
examples:
  exp2sim workbench install              add algorithms and window (menu Interfaces) to Workbench, from its
                                         own Python; then start it again
  exp2sim workbench doctor               what is there, what is missing, and the fix of each problem
  exp2sim workbench doctor --json        the same for a program
  exp2sim workbench uninstall            remove them again, and nothing else

Exit status of doctor: 0 if there is no problem, 1 if there is one.
"""
_MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    about = "put the algorithms into MantidWorkbench, remove them, or see what is wrong"
    parser = add_command(subparsers, "workbench", about, _EPILOG)
    parser.add_argument("action", choices=("install", "uninstall", "doctor"), help="what to do")
    parser.add_argument(
        "--properties",
        metavar="FILE",
        type=Path,
        help="Mantid's user properties (default: ~/.mantid/Mantid.user.properties)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    return _doctor(args) if args.action == "doctor" else _change(args)


def _change(args: argparse.Namespace) -> int:
    from mantid_exp2sim.mantid.install import install, uninstall
    from mantid_exp2sim.mantid.pythons import require_workbench_python

    if args.action == "install":
        require_workbench_python()
    change = (install if args.action == "install" else uninstall)(args.properties)
    verbs = {
        ("install", True): "now names",
        ("install", False): "already names",
        ("uninstall", True): "no longer names",
        ("uninstall", False): "does not name",
    }
    lines = [f"{change.properties} {verbs[args.action, change.changed]} {change.folder}."]
    if change.backup is not None:
        lines.append(f"The file as it was: {change.backup}.")
    if change.warning:
        lines.append(f"Warning: {change.warning}")
    if change.changed:
        lines.append("Start Workbench again to see the change.")
    if args.action == "install":
        lines.append("The window is in Workbench's menu Interfaces: Exp2Sim.")
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
    from mantid_exp2sim.mantid.doctor import examine

    report = examine(args.properties)
    lines = []
    for check in report.checks:
        lines.append(f"{_MARKS[check.status]}  {check.name:10}  {check.message}")
        if check.fix:
            lines.append(f"{'':21}-> {check.fix}")
    lines.append(f"Next: {report.next_step}")
    emit(args, report.to_dict(), "\n".join(lines))
    return 0 if report.ok else 1
