"""Reads the recordings made on a running Mantid and replays them, call by call."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Call:
    """One recorded call: its source, and everything that was printed after it."""

    section: str
    line: int
    source: str
    output: list[Any] = field(default_factory=list)

    @property
    def raised(self) -> Any:
        """(exception name, message) or None."""
        for n, text in enumerate(self.output):
            found = re.match(r" {4}raises (\S+)", text)
            if found:
                message = []
                for more in self.output[n + 1 :]:
                    if more.startswith("        args:"):
                        break
                    message.append(more)
                return found.group(1).rsplit(".", 1)[-1], "\n".join(message).replace("        str: ", "", 1)
        return None


def read(path: Any) -> Any:
    """Return the calls of a recording."""
    calls, section = [], ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith(("=====", "-----")):
            continue
        if re.match(r"\d+\. ", line):
            section = line.split(".")[0]
        elif line.startswith(">>> "):
            calls.append(Call(section, number, line[4:]))
        elif line.startswith("... ") and calls:
            calls[-1].source += "\n" + line[4:]
        elif calls and calls[-1].section == section:
            calls[-1].output.append(line)
    return calls


def plain(text: Any, folder: str = "TMP") -> Any:
    """Take out what differs between two runs: addresses, paths, line numbers, white space."""
    text = re.sub(re.escape(folder) + r"[^'\"\s]*", "TMP", text)
    text = re.sub(r"line \d+ in '[^']*'", "line N in 'TMP'", text)
    text = re.sub(r"0x[0-9a-f]+", "0x0", text)
    text = re.sub(r"(np|numpy)\.(float64|bool_?)\(([^)]*)\)", r"\3", text)
    return re.sub(r"\s+", "", text)


def perform(source: Any, space: Any) -> Any:
    """Run a call; return (value, None) or (None, exception)."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(compile(tree, "<recorded>", "exec"), space)
            value = eval(compile(ast.Expression(last.value), "<recorded>", "eval"), space) if last else None
            return (repr(value) if last else None), None
        except BaseException as error:
            return None, error


def compare(call: Any, space: Any, folder: Any) -> Any:
    """Return what differs between the recording and this run, or ''."""
    text, error = perform(call.source, space)
    wanted = call.raised
    if wanted is not None:
        if error is None:
            return f"should raise {wanted}, gave {text}"
        got = (type(error).__name__, str(error))
        same = got[0] == wanted[0] and (
            plain(got[1], folder) == plain(wanted[1]) or plain(repr(got[1]), folder) == plain(wanted[1])
        )
        return "" if same else f"should raise {wanted}, raised {got}"
    if error is not None:
        return f"raised {error!r}"
    if text is None or plain(text, folder) in plain("".join(call.output)):
        return ""
    return f"gave {text}, recorded {call.output}"
