"""Look at the libraries of this Python: new enough, and installed once."""

from __future__ import annotations

import importlib.metadata
import re

_BINARY = ("numpy", "scipy", "h5py", "torch", "pydantic", "matplotlib")
"""Libraries that crash or mix where conda and pip both installed them."""


def find_version(name: str) -> str | None:
    """Return the version of a distribution, or None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def list_outdated() -> list[str]:
    """Say what the package requires that is missing or older than its lower bound, torch left out."""
    try:
        requirements = importlib.metadata.requires("mantid_exp2sim") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    sentences = (compare(requirement) for requirement in requirements if "extra ==" not in requirement)
    return [sentence for sentence in sentences if sentence]


def compare(requirement: str) -> str:
    """Say how the installed version falls short of a requirement; empty where it does not.

    >>> compare("numpy>=1.0"), compare("numpy (>=999)").endswith("is older than 999")
    ('', True)
    """
    match = re.match(r"\s*([A-Za-z0-9_.-]+)\s*(?:\(?>=\s*([0-9.]+)\)?)?", requirement)
    if match is None or match.group(1).lower() == "torch":
        return ""
    name, bound = match.groups()
    version = find_version(name)
    if version is None:
        return f"{name} is not installed"
    old = bound is not None and _numbers(version) < _numbers(bound)
    return f"{name} {version} is older than {bound}" if old else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def list_duplicates() -> list[str]:
    """Name the binary libraries that are installed in two places."""
    places: dict[str, set[str]] = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower()
        if name in _BINARY:
            places.setdefault(name, set()).add(str(distribution.locate_file("")))
    return sorted(name for name, folders in places.items() if len(folders) > 1)
