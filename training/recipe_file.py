"""Reading a TOML recipe of a training: its stages, each with all its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.toml import read_toml
from mantid_exp2sim.training.config import SEEDS, Config, Table

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that come with the package."""
KINDS = ("translator", "classifier", "posterior")


class Recipe(Table):
    """What ``exp2sim train`` reads: the stages of one training, each with all its settings.

    The tables of the file are the first stage. A ``[[stage]]`` goes on from the last weights of the stage
    before it, with its settings but for those that it names.
    """

    stages: tuple[Annotated[Config, Field(discriminator="kind")], ...] = Field(min_length=1)


def read_recipe(path: Path, *, seed: int | None = None) -> tuple[Config, ...]:
    """Read the stages of a recipe; ``seed`` takes the place of the recipe's.

    Raises `Exp2SimError` if the file is missing, is no TOML, or holds something unknown or out of range.
    """
    if seed is not None and not 0 <= seed < SEEDS:
        raise Exp2SimError(
            f"The seed is {seed}.",
            reason="Random numbers are drawn from whole numbers.",
            fix=f"Take a whole number from 0 to {SEEDS - 1}.",
        )

    def expand(tables: dict[str, Any]) -> dict[str, Any]:
        if tables.get("kind") not in KINDS:
            raise Exp2SimError(
                f"The recipe {path} does not say what it trains.",
                fix='Begin it with kind = "translator", "classifier" or "posterior".',
            )
        changes = tables.pop("stage", [])
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            raise Exp2SimError(
                f"The stages of the recipe {path} cannot be read.",
                fix="Write each as [[stage]], and its tables as [stage.schedule].",
            )
        stages = [tables if seed is None else merge_tables(tables, {"run": {"seed": seed}})]
        for change in changes:
            stages.append(merge_tables(stages[-1], change))
        return {"stages": stages}

    fix, shipped = "Settings are described in training/config.py.", RECIPES.glob("*.toml")
    return read_toml(path, Recipe, what="recipe", fix=fix, prepare=expand, shipped=shipped).stages


def merge_tables(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings of nested tables.

    >>> merge_tables({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(tables)
    for name, value in changes.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = merge_tables(before, value) if both else value  # type: ignore[arg-type]
    return merged
