"""The steps that led to a histogram, kept in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def software_version() -> str:
    """Return the version of this package, for the history."""
    try:
        return version("mantid_exp2sim")
    except PackageNotFoundError:
        return "unknown"


def with_history(metadata: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with one more step in their history.

    >>> with_history({"title": "cut"}, {"command": "rebin"})
    {'title': 'cut', 'history': [{'command': 'rebin'}]}
    """
    history = metadata.get("history")
    steps = history if isinstance(history, list) else []
    return {**metadata, "history": [*steps, dict(entry)]}


def with_step(metadata: Mapping[str, Any], command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with one more step that needs no model."""
    entry = {"command": command, "options": dict(options), "software": software_version()}
    return with_history(metadata, entry)
