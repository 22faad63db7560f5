"""Open the window: ``exp2sim gui [FILE …]``."""

from __future__ import annotations

import argparse

from mantid_exp2sim.cli.options import READ, add_command

_EPILOG = f"""\
FILE  {READ}

examples:
  exp2sim gui
  exp2sim gui measured.npz other.nxs
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    about = "open the window: deconvolve, check, classify and fit data, and look at them"
    parser = add_command(subparsers, "gui", about, _EPILOG)
    parser.add_argument("files", metavar="FILE", nargs="*", help="files to open")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from mantid_exp2sim import interface

    return interface.run(args.files)
