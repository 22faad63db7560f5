"""Small models, data sets and recipes of the other tests, and ways in which a system fails."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.small_models import bundle_copy, cut, make_model, model, models_folder, picture, volume
from tests.training.conftest import duq_recipe, gan_recipe, tiny_dataset

__all__ = [
    "bundle_copy",
    "cut",
    "duq_recipe",
    "gan_recipe",
    "make_model",
    "model",
    "models_folder",
    "picture",
    "tiny_dataset",
    "volume",
]


@contextlib.contextmanager
def small_files(size: int = 200) -> Iterator[None]:
    """A real limit: the system lets no file grow beyond ``size`` bytes (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full_disk() -> Callable[..., Any]:
    return small_files


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def content() -> Callable[..., Any]:
    return tree


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function that makes a function of ``os`` fail with an error number, from its n-th call on."""

    def install(name: str, number: int, *, after: int = 0) -> None:
        real, calls = getattr(os, name), iter(range(10**9))

        def fail(*args: Any, **options: Any) -> Any:
            if next(calls) >= after:
                raise OSError(number, os.strerror(number))
            return real(*args, **options)

        monkeypatch.setattr(os, name, fail)

    return install
