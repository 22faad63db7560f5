"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any


def emit(args: argparse.Namespace, json_object: dict[str, Any], human_text: str) -> None:
    """Print a command's result: exactly one JSON object with ``--json``, else text.

    Numbers that JSON has no name for (NaN, infinity) become null; arrays and numpy numbers become lists and
    numbers.

    >>> emit(argparse.Namespace(json=True), {"mean": float("nan"), "name": "a"}, "not shown")
    {"mean": null, "name": "a"}
    >>> emit(argparse.Namespace(json=False), {}, "shown")
    shown
    """
    print(json.dumps(plain(json_object), allow_nan=False) if getattr(args, "json", False) else human_text)
    sys.stdout.flush()


def complain(message: str) -> None:
    """Print a message on stderr, its first word in colour where that is a terminal."""
    from rich.console import Console
    from rich.text import Text

    head, _, rest = message.partition(":")
    text = Text(head, style="bold red").append(f":{rest}", style="not bold")
    Console(stderr=True, soft_wrap=True).print(text)


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
