"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.inference.translate import Progress


def emit(args: argparse.Namespace, json_object: dict[str, Any], human_text: str) -> None:
    """Print a command's result: exactly one JSON object with ``--json``, else text.

    Numbers that JSON has no name for (NaN, infinity) become null; arrays and numpy numbers become lists and
    numbers.

    >>> emit(argparse.Namespace(json=True), {"mean": float("nan"), "name": "a"}, "not shown")
    {"mean": null, "name": "a"}
    >>> emit(argparse.Namespace(json=False), {}, "shown")
    shown
    """
    if "reports" in args:  # one of many files
        args.reports.append(json_object)
        return
    say(json.dumps(plain(json_object), allow_nan=False) if getattr(args, "json", False) else human_text)


def say(text: str) -> None:
    """Print a text on stdout, all of it now."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        forget_stdout()
        raise Exp2SimError(
            f"The result cannot be printed: {error.strerror or error}.",
            fix="Make room, or send the output to another place.",
        ) from error


def forget_stdout() -> None:
    """Send what is still to come on stdout to nowhere, so that Python's end does not try it once more."""
    with contextlib.suppress(OSError, AttributeError):  # there is none, or it is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def replace_what_cannot_be_encoded() -> None:
    """Let stdout and stderr print ``?`` for what their encoding does not have, such as ``×`` in ASCII.

    What they do already where they were told so (``PYTHONIOENCODING=ascii:backslashreplace``) they keep.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def complain(message: str) -> None:
    """Print a message on stderr, its first word in colour where that is a terminal."""
    from rich.console import Console
    from rich.text import Text

    head, _, sentence = message.partition(":")
    text = Text(head, style="bold red").append(f":{sentence}", style="not bold")
    Console(stderr=True, soft_wrap=True).print(text)


@contextlib.contextmanager
def progress_bar(args: argparse.Namespace) -> Iterator[Progress | None]:
    """Show a bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal or args.json:
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("…")
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
