"""The site has every document, public name and recipe. `make docs` builds it."""

from __future__ import annotations

import re
from pathlib import Path

import mantid_exp2sim

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_every_document_is_on_the_site() -> None:
    listed = re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    documents = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    documents = {name for name in documents if not name.startswith("api/")}
    assert {name for name in listed if (DOCS / f"{name}.md").exists()} == documents - {"index", "README"}


def test_every_public_name_is_on_the_site() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", text, re.MULTILINE))
    assert listed == set(mantid_exp2sim.__all__) - {"__version__"}


def test_every_recipe_is_on_the_site() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    recipes = {path.name for path in (ROOT / "training" / "recipes").glob("*.toml")}
    assert set(re.findall(r"recipes/([\w-]+\.toml)", text)) == recipes
