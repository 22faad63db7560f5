"""Small models, data sets and recipes of the other tests, and ways in which a system fails."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).resolve().parents[1]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shared_{path.parent.name}_{path.stem}", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


_training, _use = (module(TESTS / name / "conftest.py") for name in ("training", "use"))
tiny_dataset, gan_recipe, duq_recipe = _training.tiny_dataset, _training.gan_recipe, _training.duq_recipe
models_folder, make_model, model = _use.models_folder, _use.make_model, _use.model
picture, volume, bundle_copy = _use.picture, _use.volume, _use.bundle_copy


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
def full_disk():
    return small_files


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def content():
    return tree


@pytest.fixture
def refuse(monkeypatch):
    """A function that makes a function of ``os`` fail with an error number, from its n-th call on."""

    def install(name: str, number: int, *, after: int = 0) -> None:
        real, calls = getattr(os, name), iter(range(10**9))

        def fail(*args, **options):
            if next(calls) >= after:
                raise OSError(number, os.strerror(number))
            return real(*args, **options)

        monkeypatch.setattr(os, name, fail)

    return install
