"""Settings of recipes: few, and each one in use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.training.config import ClassifierConfig, TranslatorConfig
from mantid_exp2sim.training.recipe_file import read_recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "training" / "recipes"
TRAININGS = [
    path
    for folder in (RECIPES, ROOT / "examples" / "tutorial")
    for path in sorted(folder.glob("*.toml"))
    if "kind" in tomllib.loads(path.read_text(encoding="utf-8"))
]


def tables_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Layout:
        yield annotation
    for part in get_args(annotation):
        yield from tables_of(part)


def settings_of(table: type[BaseModel], place: str = "") -> Iterator[str]:
    for name, field in table.model_fields.items():
        inner = list(tables_of(field.annotation))
        for part in inner:
            yield from settings_of(part, f"{place}{name}.")
        if not inner:
            yield f"{place}{name}"


def used_in(tables: dict[str, Any], place: str = "") -> Iterator[str]:
    for name, value in tables.items():
        for part in value if name == "stage" else [value]:
            if isinstance(part, dict):
                yield from used_in(part, place if name == "stage" else f"{place}{name}.")
        yield f"{place}{name}"


SETTINGS = {*settings_of(TranslatorConfig), *settings_of(ClassifierConfig)}


def test_there_are_few() -> None:
    assert "losses.contrastive.patches" in SETTINGS
    assert "data.noise.counting" in SETTINGS
    conditions = {name for name in SETTINGS if name.startswith("data.conditions.")}
    assert len(SETTINGS - conditions) <= 60
    assert len(conditions) <= 28


def test_each_is_in_a_recipe_or_a_document() -> None:
    used = {name for path in TRAININGS for name in used_in(tomllib.loads(path.read_text(encoding="utf-8")))}
    documents = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    blocks = re.findall(r"```toml\n(.*?)```", documents, re.DOTALL)
    used |= {name for block in blocks for name in used_in(tomllib.loads(block))}
    named = {name for name in SETTINGS if f"`{name.split('.')[1 if '.weight' in name else -1]}`" in documents}
    assert not SETTINGS - used - named


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_shipped_recipes_can_be_read(path: Path) -> None:
    stages = read_recipe(path, seed=3)
    assert {stage.run.seed for stage in stages} == {3}
