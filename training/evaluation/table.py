"""A table of text, and how its numbers are written."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EM_DASH = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: a title, what the columns are, and rows of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown.

        >>> print(Table("t", ["a", "b"], [["1", "2"]]).markdown())
        | a | b |
        | --- | --- |
        | 1 | 2 |
        """
        lines = ["| " + " | ".join(row) + " |" for row in (self.header, *self.rows)]
        return "\n".join([lines[0], "|" + " --- |" * len(self.header), *lines[1:]])

    def html(self) -> str:
        """As HTML."""
        head, *rows = (
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
            for tag, row in [("th", self.header), *(("td", row) for row in self.rows)]
        )
        body = "\n".join(rows)
        table = f"<table>\n<thead>{head}</thead>\n<tbody>{body}</tbody>\n</table>"
        return f"<h3>{html.escape(self.title)}</h3>\n{table}"


def words(name: str) -> str:
    """Write a name of the report in words."""
    return name.replace("_", " ")


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share in percent."""
    return EM_DASH if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash for none."""
    return EM_DASH if value is None else f"{value:.{digits}f}"


def interval(value: Mapping[str, Any], factor: float = 1.0, digits: int = 3) -> str:
    """Write the ends of a value's 95 % interval, times ``factor``."""
    if value.get("low") is None:
        return EM_DASH
    return f"{factor * value['low']:.{digits}f} to {factor * value['high']:.{digits}f}"
