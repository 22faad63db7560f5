"""DDU's log density beside DUQ's largest correlation: is an input of any class, and is the answer wrong?

    python benchmarks/uncertainty.py MODEL DATASET [--kind convolved] [--count 100] [--seed 0] [--json]

Of the first classifier of each kind; Gaussians fitted to its features of training spectra, figures of
validation spectra, all with the symmetries, intensity and (convolved) background and noise of the recipe.
AUROC 1: every in-domain spectrum above every foreign one; every right answer above every wrong one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mantid_exp2sim.training.ddu import ClassDensity, fit_density
from mantid_exp2sim.training.domain_controls import controls
from mantid_exp2sim.training.domain_spectra import Settings, Spectra, as_in_training
from mantid_exp2sim.training.evaluation.statistics import area_under_curve
from mantid_exp2sim.training.store import DataSet, open_dataset
from table import Row, finish

from mantid_exp2sim.bundle import Model, load_model
from mantid_exp2sim.card import classifier_role
from mantid_exp2sim.networks.duq import stack_panels

COVERAGES = (0.8, 0.5)
BATCH = 50


class Reader:
    """Correlations (n, classes) and features (n, F) of a model's first classifier of one kind."""

    def __init__(self, model: Model, kind: Any) -> None:
        self.kind, self.other = kind, model.card.target if kind == "convolved" else "convolved"
        self.network: Any = model.network(classifier_role(kind))
        self.scaling = model.card.classifiers[kind].scaling or model.card.scaling

    def __call__(self, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        with torch.inference_mode():
            for start in range(0, len(spectra.x), BATCH):
                part = spectra[start : start + BATCH]
                mask = torch.from_numpy(np.ascontiguousarray(part.mask))
                scaled = self.scaling.forward(torch.from_numpy(np.ascontiguousarray(part.x)))
                x = stack_panels(torch.where(mask, 0.0, scaled), mask)
                found.append((self.network(x), self.network.features(x)))
        correlation, feature = (torch.cat(each).double().numpy() for each in zip(*found, strict=True))
        return correlation, feature


def parts(data: DataSet, kind: str, split: str, count: int) -> Iterator[tuple[Spectra, np.ndarray]]:
    """Spectra of a split, evenly spread over it, and their labels; a few at a time."""
    indices = data.split(split, kind=kind)
    indices = indices[np.unique(np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(int))]
    for start in range(0, len(indices), BATCH):
        some = indices[start : start + BATCH]
        masks, energies = np.array(data.masks(kind, some)), np.array(data.energies_of(kind, some))
        yield Spectra(data.read(kind, some), masks, energies), data.labels(some, kind)


def observe(
    reader: Reader, spectra: Spectra, settings: Settings, stream: tuple[int, ...], *, noisy: bool, move: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations and features of spectra as in training; ``move``: with the recipe's symmetries."""
    rng = np.random.default_rng([settings.seed, *stream])
    return reader(as_in_training(spectra, settings, rng, noisy=noisy, augment=move))


def read(
    reader: Reader,
    some: Iterator[tuple[Spectra, np.ndarray]],
    settings: Settings,
    stream: int,
    *,
    noisy: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlations, features and labels of spectra of a split."""
    found = [
        (*observe(reader, spectra, settings, (stream, number), noisy=noisy, move=True), labels)
        for number, (spectra, labels) in enumerate(some)
    ]
    correlation, feature, label = (np.concatenate(each) for each in zip(*found, strict=True))
    return correlation, feature, label


def foreign(inside: Spectra, rng: np.random.Generator) -> dict[str, Spectra]:
    """The domain controls, and a constant and white noise of the same mean intensity."""
    found = controls(inside, rng, seen=False)
    means = inside.means[:, None, None, None, None]
    for name, x in (
        ("constant", np.ones(inside.x.shape, np.float32)),
        ("noise", rng.exponential(size=inside.x.shape)),
    ):
        found[name] = Spectra((x * means).astype(np.float32), inside.mask, inside.energies)
    return found


def trust(density: ClassDensity, read: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """The scores that are compared: high where the classifier is to be trusted."""
    return {"DDU": density.log_density(read[1]), "DUQ": read[0].max(axis=1)}


def row(name: str, values: dict[str, Any], note: str = "") -> Row:
    ddu, duq = values["DDU"], values["DUQ"]
    return Row(name=name, value=ddu, unit="", reference=duq, reference_name="DUQ", ratio=ddu / duq, note=note)


def wrong_answers(name: str, density: ClassDensity, found: tuple[np.ndarray, ...]) -> list[Row]:
    """AUROC of right against wrong answers, and accuracy of the answers that are trusted most."""
    right = found[0].argmax(axis=1) == found[2]
    scores = trust(density, found)
    said = f"{(~right).sum()} of {len(right)} wrong, accuracy {right.mean():.3f}"
    areas = {each: area_under_curve(score[right], score[~right]) for each, score in scores.items()}
    rows = [] if None in areas.values() else [row(f"{name}: right above wrong, AUROC", areas, said)]
    for share in COVERAGES:
        kept = {
            each: float(right[np.argsort(-score, kind="stable")[: round(share * len(right))]].mean())
            for each, score in scores.items()
        }
        rows.append(row(f"{name}: accuracy of the {100 * share:.0f} % most trusted", kept, said))
    return rows


def against(
    reader: Reader, data: DataSet, density: ClassDensity, settings: Settings, args: argparse.Namespace
) -> list[Row]:
    """AUROC of in-domain spectra against each kind of foreign ones, all with the same noise."""
    kind, noisy = reader.kind, reader.kind == "convolved"
    clean = [some for some, _ in parts(data, kind, "validation", args.count)]
    inside = Spectra(
        *(np.concatenate([getattr(part, name) for part in clean]) for name in ("x", "mask", "energies"))
    )
    base = trust(density, observe(reader, inside, settings, (3,), noisy=noisy, move=True))
    seen = {
        name: observe(reader, spectra, settings, (4, number), noisy=noisy, move=False)
        for number, (name, spectra) in enumerate(foreign(inside, np.random.default_rng(args.seed)).items())
    }
    near = parts(data, reader.other, "validation", args.count)
    seen[f"{reader.other} with the same noise"] = read(reader, near, settings, 5, noisy=noisy)[:2]
    rows = []
    for name, found in seen.items():
        scores = trust(density, found)
        areas = {each: area_under_curve(base[each], scores[each]) for each in base}
        rows.append(row(f"{kind} against {name}, AUROC", areas))
    return rows


def measure(model: Model, data: DataSet, kind: str, args: argparse.Namespace) -> list[Row]:
    """Both scores of one classifier."""
    settings = replace(Settings.of(model.card, seed=args.seed), clean_share=0.0)
    reader, noisy = Reader(model, kind), kind == "convolved"
    train = read(reader, parts(data, kind, "train", args.train), settings, 0, noisy=noisy)
    density = fit_density(train[1], train[2])
    rows = against(reader, data, density, settings, args)
    held = parts(data, kind, "validation", args.answers)
    away = parts(data, reader.other, "validation", args.answers)
    about = f"{kind} reads {reader.other}" + ("" if noisy else " with noise")
    return [
        *rows,
        *wrong_answers(kind, density, read(reader, held, settings, 1, noisy=noisy)),
        *wrong_answers(about, density, read(reader, away, settings, 2, noisy=not noisy)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--kind", help="only this classifier")
    parser.add_argument("--count", type=int, default=100, help="spectra of each control")
    parser.add_argument("--train", type=int, default=400, help="training spectra the Gaussians are fitted to")
    parser.add_argument("--answers", type=int, default=300, help="validation spectra whose answer is judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model, data = load_model(args.model), open_dataset(args.dataset)
    kinds = [args.kind] if args.kind else list(model.card.classifiers)
    rows = [one for kind in kinds for one in measure(model, data, kind, args)]
    finish(rows, "DDU log density beside DUQ's largest correlation")


if __name__ == "__main__":
    main()
