"""The command line: ``exp2sim COMMAND …``.

Commands are functions ``register(subparsers)`` that add a parser whose default ``run`` takes the arguments
and returns the exit status. Those of this package are listed in `COMMANDS`; others come from the entry-point
group ``mantid_exp2sim.commands``.

Exit status: 0 done, 2 bad input or usage or no room to write, 130 interrupted, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from typing import Any

from mantid_exp2sim import __version__
from mantid_exp2sim.cli.output import complain, forget_stdout, replace_what_cannot_be_encoded, say
from mantid_exp2sim.cli.parser import CommandParser, UsageError
from mantid_exp2sim.errors import Cancelled, Exp2SimError

COMMANDS = (
    "mantid_exp2sim.cli.translate",
    "mantid_exp2sim.cli.check",
    "mantid_exp2sim.cli.explain",
    "mantid_exp2sim.cli.fit",
    "mantid_exp2sim.cli.gui",
    "mantid_exp2sim.cli.look",
    "mantid_exp2sim.cli.rebin",
    "mantid_exp2sim.cli.report",
    "mantid_exp2sim.cli.models",
    "mantid_exp2sim.cli.resolution",
    "mantid_exp2sim.cli.workbench",
)
GROUP = "mantid_exp2sim.commands"
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143
_EPILOG = """\
examples:
  exp2sim deconvolve measured.npy result.npz --mask nanmask.mat
  exp2sim classify result.npz
  exp2sim plot result.npz result.png

exp2sim COMMAND --help tells more about each command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    exp2sim ...
    0
    """
    replace_what_cannot_be_encoded()
    if not (log := logging.getLogger("mantid_exp2sim")).handlers:
        log.addHandler(logging.NullHandler())  # commands say themselves what the library warns of
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = argparse.Namespace(json="--json" in arguments)  # until it is read
    try:
        args = build_parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has printed its help
        return _printed(int(stop.code or 0))
    except UsageError as error:
        return _failed(args, error)
    try:
        with _terminable():
            return _printed(int(args.run(args)))
    except Terminated:
        return _stopped(args, "stopped by SIGTERM; nothing is half-written", TERMINATED)
    except Exp2SimError as error:
        return _failed(args, error)
    except (KeyboardInterrupt, Cancelled):
        return _stopped(args, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        forget_stdout()
        return 0
    except MemoryError:
        fix = "Try a smaller --tile." if hasattr(args, "tile") else "Try it with less data."
        return _failed(args, Exp2SimError("There is not enough memory.", fix=fix))
    except OSError as error:
        return _failed(
            args,
            Exp2SimError(
                f"{error.filename or 'A file'}: {error.strerror or error}.",
                fix="Check the path, the rights and the room on the disk.",
            ),
        )


class Terminated(BaseException):
    """SIGTERM has come: what is half-written goes, locks are let go, workers end."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise `Terminated` at a SIGTERM, where signals can be handled at all (in the main thread)."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not break off the tidying up
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _printed(status: int) -> int:
    """The exit status, or that of bad output where what was printed before cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
    except OSError as error:
        forget_stdout()
        print(f"error: The text cannot be printed: {error.strerror or error}.", file=sys.stderr)
        return BAD_INPUT
    return status


def _failed(args: argparse.Namespace, error: Exp2SimError) -> int:
    if isinstance(error, UsageError):
        print(error.usage, end="", file=sys.stderr)
    complain(f"error: {error}")
    _say_error(args, error)
    return BAD_INPUT


def _stopped(args: argparse.Namespace, message: str, status: int) -> int:
    print(message, file=sys.stderr)
    _say_error(args, Exp2SimError(message, fix="Give the same command again."))
    return status


def _say_error(args: argparse.Namespace, error: Exp2SimError) -> None:
    """Print an error as JSON where the command was given ``--json``."""
    if getattr(args, "json", False):
        with suppress(Exp2SimError, BrokenPipeError):  # said on stderr already
            say(json.dumps({"error": error.summary, "reason": error.reason, "fix": error.fix}))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command that is installed."""
    parser = CommandParser(
        prog="exp2sim",
        description="Measured inelastic neutron spectra to simulation-like ones and back with trained "
        "networks, and which spin-wave model a measurement shows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"exp2sim {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for module in COMMANDS:
        importlib.import_module(module).register(subparsers)
    _register_others(subparsers)
    return parser


def _register_others(subparsers: Any) -> None:
    """Add the commands of entry points; one that cannot be loaded does not take the others with it."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            point.load()(subparsers)
        except Exception as error:  # whatever an add-on does, the package's own commands work
            print(f"warning: the commands of {point.value} are missing: {error}", file=sys.stderr)
