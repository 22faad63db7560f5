"""The site: `make docs` builds it from the documents of this folder, which can be read without it, too."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

import mantid_exp2sim  # noqa: E402

project = "mantid_exp2sim"
author = "The mantid_exp2sim developers"
release = version = mantid_exp2sim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "README.md"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
napoleon_google_docstring = False
napoleon_attr_annotations = False

html_theme = "pydata_sphinx_theme"
html_title = f"mantid_exp2sim {release}"
html_copy_source = False
html_sidebars = {"**": ["globaltoc.html"], "index": []}
html_theme_options = {"navbar_center": [], "show_toc_level": 2, "navigation_with_keys": False}


def as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep the words of an attribute: napoleon would take what stands before a colon for its type."""
    if what in ("attribute", "property", "data"):
        app.words_of_attributes[name] = list(lines)


def put_back(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put the words of attributes back, and let |Q| be no name of a substitution outside of literals."""
    words = app.words_of_attributes.pop(name, lines) + default_of(name)
    lines[:] = [re.sub(r"(``.*?``)|\|Q\|", lambda m: m[1] or r"\|Q\|", line) for line in words]


def default_of(name: str) -> list[str]:
    """Say the default of a setting, where it is short."""
    module, table, key = ([""] * 3 + name.rsplit(".", 2))[-3:]
    field = getattr(getattr(sys.modules.get(module), table, None), "model_fields", {}).get(key)
    text = "" if field is None or field.is_required() else repr(field.default)
    return ["", f"Default: ``{text}``"] if 0 < len(text) < 60 else []


def without_keys(app: Any, what: str, name: str, thing: Any, *words: Any) -> tuple[str, None] | None:
    """Leave the keys of a table of settings out of its heading: they follow."""
    return ("", None) if what == "class" and hasattr(thing, "model_fields") else None


def tables_alone(app: Any, what: str, name: str, thing: Any, *more: Any) -> bool | None:
    """Of a module show the tables of settings and nothing else."""
    return True if what == "module" and not getattr(thing, "model_fields", None) else None


def as_files(app: Any, name: str, source: list[str]) -> None:
    """Let documents that are not on the site, the studies, be files to download."""
    link = re.compile(r"\[([^\]]+)\]\((\.\./studies/[\w-]+\.md)(?:#[\w-]*)?\)")
    source[0] = link.sub(r"{download}`\1 <\2>`", source[0])


def setup(app: Any) -> None:
    """Go around napoleon, which stands at 500."""
    app.connect("source-read", as_files)
    app.connect("autodoc-process-signature", without_keys)
    app.connect("autodoc-skip-member", tables_alone)
    app.words_of_attributes = {}
    app.connect("autodoc-process-docstring", as_written, priority=400)
    app.connect("autodoc-process-docstring", put_back, priority=600)
