"""The pages of docs/algorithms: the table is the algorithm's, and the usage example runs as printed."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from mantid.api import AlgorithmManager

from mantid_exp2sim.mantid import user_properties
from mantid_exp2sim.model import registry as installed

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = [file.stem for file in user_properties.algorithm_files()]
DIRECTIONS = ("Input", "Output", "InOut")


def page(name: Any) -> Any:
    return (DOCS / "algorithms" / f"{name}.md").read_text(encoding="utf-8")


def rows(name: Any) -> Any:
    """The rows of the table as the algorithm has them."""
    made = []
    for prop in AlgorithmManager.create(name).getProperties():
        default = prop.getDefault() if callable(prop.getDefault) else prop.getDefault
        if prop.name == "Model":
            default = "first installed"
        if prop.type == "boolean":
            default = {"0": "False", "1": "True"}.get(default, default)
        if prop.type == "dbl list" and default:
            default = ", ".join(f"{float(part):.4g}" for part in default.split(","))
        kind = DIRECTIONS[int(prop.direction)]
        made.append(f"| `{prop.name}` | {kind} | {prop.type} | {default or ' '} | {prop.documentation} |")
    return made


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_properties(api: Any, name: Any) -> None:
    text = page(name)
    wanted = [re.sub(r"\s+", " ", row) for row in rows(name)]
    found = [re.sub(r"\s+", " ", line) for line in text.splitlines() if line.startswith("| `")]
    assert found == wanted, "\n".join(rows(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_all_its_parts(api: Any, name: Any) -> None:
    text = page(name)
    assert text.startswith(f"# {name}\n\n{AlgorithmManager.create(name).summary()}\n")
    parts = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert parts == ["Properties", "What it does", "Limits", "Usage"]


@pytest.fixture
def default_model(models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the examples, with random weights where it is not installed."""
    if not (installed.shipped_models_folder() / installed.DEFAULT_MODEL).is_dir():
        shutil.copytree(models_folder / "whole", tmp_path / installed.DEFAULT_MODEL)
        monkeypatch.setenv("EXP2SIM_MODELS", str(tmp_path))


def blocks(text: Any) -> Any:
    """Code and the output printed below it."""
    return re.findall(r"```python\n(.*?)```\n+(?:Output:\n+```text\n(.*?)```)?", text, re.DOTALL)


@pytest.mark.parametrize("file", [*(f"algorithms/{name}" for name in NAMES), "workbench"])
def test_the_examples_print_what_the_page_says(
    api: Any, default_model: Any, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    found = blocks((DOCS / f"{file}.md").read_text(encoding="utf-8"))
    assert found
    for code, output in found:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{file}.md", "exec"), space)
        assert printed.getvalue() == output
