"""Which files belong together, and which split they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence

from mantid_exp2sim.training.datasets.description import SPLITS, Split
from mantid_exp2sim.training.datasets.from_files.labels import Label
from mantid_exp2sim.training.datasets.from_files.recipe import SplitRecipe


def parameter_sets(stems: Sequence[str], labels: Sequence[Label]) -> list[int]:
    """Number of the parameter set of each file: the same for equal stems, groups or parameters.

    A file that the label file puts into a group is in that group whatever its stem is.

    >>> parameter_sets(["a", "b", "a"], [Label(), Label(), Label()])
    [0, 1, 0]
    >>> parameter_sets(["a", "b"], [Label(parameters={"J": 1.0}), Label(parameters={"J": 1.0})])
    [0, 0]
    """
    parent = list(range(len(stems)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, (stem, label) in enumerate(zip(stems, labels, strict=True)):
        for key in _keys(stem, label):
            root_set, other = sorted((root(first.setdefault(key, i)), root(i)))
            parent[other] = root_set
    roots = [root(i) for i in range(len(stems))]
    number = {r: n for n, r in enumerate(dict.fromkeys(roots))}
    return [number[r] for r in roots]


def _keys(stem: str, label: Label) -> list[Hashable]:
    keys: list[Hashable] = [("stem", stem)] if label.group is None else [("group", label.group)]
    if label.parameters:
        keys.append(("parameters", tuple(sorted((k, f"{v:.9g}") for k, v in label.parameters.items()))))
    return keys


def assign(sets: Mapping[int, tuple[str, str]], settings: SplitRecipe, seed: int) -> dict[int, Split]:
    """The split of each parameter set, given its class and a name; each class is shared out by itself.

    The order is that of a hash of (seed, class, name), so a set that is added moves few others. Where a
    class has too few sets for a share, the share may be empty; there is always one for training.

    >>> sets = {i: ("Dimer", f"file{i}") for i in range(10)}
    >>> found = assign(sets, SplitRecipe(validation=0.2, test=0.1), seed=1)
    >>> sorted(found.values()).count("train"), sorted(found.values()).count("validation")
    (7, 2)
    """
    splits: dict[int, Split] = {}
    for name in sorted({label for label, _ in sets.values()}):
        members = [number for number, (label, _) in sets.items() if label == name]
        members.sort(key=lambda number: _hash(seed, *sets[number]))
        counts = [round(settings.validation * len(members)), round(settings.test * len(members))]
        while sum(counts) >= len(members):
            counts[counts.index(max(counts))] -= 1
        for place, number in enumerate(members):
            split = 1 if place < counts[0] else 2 if place < sum(counts) else 0
            splits[number] = SPLITS[split]
    return splits


def _hash(seed: int, label: str, name: str) -> str:
    return hashlib.sha256(f"{seed}|{label}|{name}".encode()).hexdigest()
