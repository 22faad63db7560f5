"""How the code is laid out and named: rooms, lengths, plain names, and a fix in every error."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("mantid_exp2sim", "training", "algorithms", "benchmarks", "examples")
VAGUE = {
    "found",
    "made",
    "one",
    "known",
    "own",
    "each",
    "chosen",
    "kept",
    "taken",
    "given",
    "rest",
    "wanted",
    "seen",
}
"""What no variable may be called: a name says which quantity it holds."""
MAX_VAGUE = 0.005
"""Share of assigned names."""
MAX_LINES = 400
MAX_RECIPES = 15
MAX_SUMMARY = 80
"""Characters of an error's first sentence, without the values put into it."""
CIRCLES = """
import sys
import grimp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
sys.path.insert(0, sys.argv[1])
graph = grimp.build_graph("mantid_exp2sim", cache_dir=None)
modules = sorted(graph.modules)
edges = [
    (place, modules.index(lower))
    for place, module in enumerate(modules)
    for lower in graph.find_modules_directly_imported_by(module)
]
matrix = coo_array(([1] * len(edges), tuple(zip(*edges))), shape=(len(modules), len(modules)))
_, labels = connected_components(matrix, connection="strong")
for label in set(labels):
    circle = [module for module, number in zip(modules, labels) if number == label]
    if len(circle) > 1:
        print(" - ".join(circle))
"""


def files(*rooms: str) -> dict[str, Path]:
    """The modules of some folders, by their path in the project."""
    paths = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


def assigned_names(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
    return names


def errors_without_fix(path: Path) -> list[int]:
    """Lines that make an `Exp2SimError` without saying what the user can do."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Exp2SimError", "require")
    ]
    return [call.lineno for call in calls if not any(keyword.arg == "fix" for keyword in call.keywords)]


def literal(text: ast.expr) -> str:
    """The characters of a text that do not depend on values."""
    if isinstance(text, ast.JoinedStr):
        return "".join(map(literal, text.values))
    return text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""


def long_summaries(path: Path) -> list[str]:
    """Too long summaries of the project's errors: calls that end with ``Error`` and have a fix."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id.endswith("Error")
        and node.args
        and any(keyword.arg == "fix" for keyword in node.keywords)
    ]
    return [text for call in calls if len(text := literal(call.args[0])) >= MAX_SUMMARY]


@pytest.mark.parametrize(("folder", "most"), [("mantid_exp2sim", 6), ("training", 3)])
def test_modules_lie_in_rooms(folder: str, most: int) -> None:
    assert len(list((ROOT / folder).glob("*.py"))) <= most


def test_modules_are_short() -> None:
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files(*PRODUCT).items()
    }
    too_long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    assert not too_long


def test_variables_name_their_quantity() -> None:
    names = {place: assigned_names(path) for place, path in files(*PRODUCT).items()}
    vague = {place: [name for name in part if name.lstrip("_") in VAGUE] for place, part in names.items()}
    share = sum(map(len, vague.values())) / sum(map(len, names.values()))
    assert share <= MAX_VAGUE, {place: part for place, part in vague.items() if part}


def test_every_error_has_a_fix() -> None:
    places = {
        name: errors_without_fix(path)
        for name, path in files("mantid_exp2sim", "training", "algorithms").items()
    }
    missing = {name: lines for name, lines in places.items() if lines}
    assert not missing


def test_summaries_of_errors_are_short() -> None:
    texts = {name: long_summaries(path) for name, path in files(*PRODUCT).items()}
    too_long = {name: long for name, long in texts.items() if long}
    assert not too_long


def test_recipes_are_few() -> None:
    assert len(list((ROOT / "training" / "recipes").glob("*.toml"))) <= MAX_RECIPES


def test_algorithms_stand_on_one_room() -> None:
    for name, path in files("algorithms").items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mantid_exp2sim"):
                room = "interface.qt.menu" if name.startswith("algorithms/menu/") else "mantid"
                assert (node.module or "").startswith(f"mantid_exp2sim.{room}"), f"{name}:{node.lineno}"


def test_no_circle_of_imports(tmp_path: Path) -> None:
    """Counted are imports for types and in functions; import-linter holds the order of the rooms."""
    pytest.importorskip("grimp")
    package = tmp_path / "mantid_exp2sim"
    package.mkdir()
    for path in (ROOT / "mantid_exp2sim").iterdir():
        (package / path.name).symlink_to(path)
    (package / "training").symlink_to(ROOT / "training")
    command = [sys.executable, "-c", CIRCLES, str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not result.stdout
