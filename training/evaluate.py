"""What a model does to a test set it has never seen: the accuracy table, paired errors, flux, null
response.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mantid_exp2sim.training.datasets import DataSet, add_noise, open_dataset
from numpy.typing import NDArray

from mantid_exp2sim.bundle import Model, load_model
from mantid_exp2sim.card import classifier_role
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
BOOTSTRAP = 2000


@dataclass(frozen=True, slots=True, eq=False)
class _Set:
    """Mosaics of one split, physical units, 0 where not measured: (n, Ei, h, k, E), labels (n,), mask."""

    convolved: torch.Tensor
    target: torch.Tensor
    label: NDArray[np.int64]
    mask: torch.Tensor
    energies: torch.Tensor


def evaluate(
    model: str | Path | Model,
    dataset: str | Path,
    *,
    split: str = "test",
    limit: int | None = None,
    noise: float = 0.7,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a model on one split of a data set whose target kind the model was made for.

    ``limit`` takes only the first mosaics of the split; ``noise`` is the level of counting noise (variance
    ``noise``·I, seeded) of the row "noisy". Intervals are 95 % bootstraps over mosaics.

    Returns a JSON-able dict: ``accuracy`` of both classifiers on every kind of input, ``gap_closed`` per
    direction = (translated − raw)/(ceiling − raw), ``relative_l2`` and ``flux`` per direction and panel,
    ``null_response`` of both classifiers.

    Raises `Exp2SimError` where the data set lacks what the model needs.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    data = open_dataset(Path(dataset))
    say = progress or (lambda _: None)
    card = loaded.card
    if card.target not in data.description.kinds or "convolved" not in data.description.kinds:
        raise Exp2SimError(
            f"The data set holds {', '.join(data.description.kinds)}.",
            why=f"The model {card.name!r} translates between 'convolved' and {card.target!r}.",
        )
    if tuple(card.classes) != data.description.classes:
        raise Exp2SimError("The data set has other classes than the model.")
    read = _read(data, card.target, split, limit)
    say(f"{len(read.label)} mosaics of {split!r}")
    noisy = add_noise(
        np.random.default_rng([seed, 1]), read.convolved.numpy(), (noise, noise)
    )  # zero stays zero where nothing was measured
    import torch

    inputs = {"convolved": read.convolved, "target": read.target, "noisy": torch.from_numpy(noisy)}
    made: dict[str, torch.Tensor] = {}
    for name, direction, source in (
        ("deconvolved", "deconvolve", "convolved"),
        ("noisy_deconvolved", "deconvolve", "noisy"),
        ("convolved_again", "convolve", "target"),
    ):
        say(f"{direction}: {source}")
        made[name] = _translate(loaded, direction, inputs[source], read)
    inputs |= made
    inputs["identity_convolved"] = _identity(loaded, read.convolved)
    inputs["identity_target"] = _identity(loaded, read.target)
    say("classify")
    right = _right(loaded, inputs, read)
    rng = np.random.default_rng([seed, 2])
    return {
        "model": card.name,
        "checksum": loaded.checksum,
        "dataset": str(dataset),
        "split": split,
        "mosaics": len(read.label),
        "target": card.target,
        "incident_energies": data.energies.tolist(),
        "seed": seed,
        "noise": noise,
        "machine": platform.machine(),
        "accuracy": {key: _share(values, rng) for key, values in right.items()},
        "gap_closed": _gaps(right, rng),
        "relative_l2": {
            "deconvolve": _paired(read.convolved, made["deconvolved"], read.target, read),
            "deconvolve_noisy": _paired(inputs["noisy"], made["noisy_deconvolved"], read.target, read),
            "convolve": _paired(read.target, made["convolved_again"], read.convolved, read),
        },
        "flux": {
            "deconvolve": _flux(made["deconvolved"], read.target, read),
            "convolve": _flux(made["convolved_again"], read.convolved, read),
        },
        "null_response": null_response(loaded, read),
    }


def _read(data: DataSet, target: str, split: str, limit: int | None) -> _Set:
    import torch

    indices = data.split(split)
    if limit is not None:
        indices = indices[:limit]
    return _Set(
        convolved=torch.from_numpy(data.read("convolved", indices)),
        target=torch.from_numpy(data.read(target, indices)),
        label=data.labels(indices),
        mask=torch.from_numpy(data.mask),
        energies=torch.from_numpy(data.energies),
    )


def _translate(model: Model, direction: str, x: torch.Tensor, read: _Set) -> torch.Tensor:
    """Physical in, physical out, 0 where not measured: what `Model.deconvolve` does, in batches of
    mosaics.
    """
    import torch
    from mantid_exp2sim.training.validation import translate_volumes

    network: Any = model.network("deconvolve" if direction == "deconvolve" else "convolve")
    parts = []
    for part in torch.split(x, 16):
        scaled = model.card.scaling.forward(part)
        out = translate_volumes(network, scaled, read.mask, read.energies, model.card.layout)
        parts.append(model.card.scaling.inverse(out))
    return torch.where(read.mask, 0.0, torch.cat(parts))


def _identity(model: Model, x: torch.Tensor) -> torch.Tensor:
    """The same way in and out without the network."""
    return model.card.scaling.inverse(model.card.scaling.forward(x))


def correlations(model: Model, domain: str, x: torch.Tensor, mask: torch.Tensor) -> Floats:
    """Correlations (n, classes) of mosaics (n, Ei, h, k, E) in physical units."""
    import torch

    from mantid_exp2sim.networks.duq import stack_panels

    network: Any = model.network(classifier_role(domain))  # type: ignore[arg-type]
    scaling = model.card.classifiers[domain].scaling or model.card.scaling  # type: ignore[index]
    found = []
    with torch.inference_mode():
        for part in torch.split(x, 32):
            scaled = torch.where(mask, 0.0, scaling.forward(part))
            found.append(network(stack_panels(scaled, mask.float().expand_as(scaled))))
    return np.asarray(torch.cat(found).double().numpy())


READERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "target": (
        "classifier of the target",
        ("target", "convolved", "identity_convolved", "deconvolved", "noisy", "noisy_deconvolved"),
    ),
    "convolved": (
        "classifier of convolved data",
        ("convolved", "target", "identity_target", "convolved_again", "deconvolved", "noisy"),
    ),
}
"""Which inputs each classifier reads: its own domain (the ceiling) first, then the other one raw."""


def _right(model: Model, inputs: Mapping[str, torch.Tensor], read: _Set) -> dict[str, NDArray[np.bool_]]:
    right = {}
    for reader, (_, names) in READERS.items():
        domain = model.card.target if reader == "target" else "convolved"
        if domain not in model.card.classifiers:
            continue
        for name in names:
            found = correlations(model, domain, inputs[name], read.mask)
            right[f"{reader}:{name}"] = found.argmax(axis=1) == read.label
    return right


def _share(values: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, float]:
    draws = rng.integers(0, values.size, (BOOTSTRAP, values.size))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def _gaps(
    right: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator
) -> dict[str, dict[str, float | None]]:
    """Share of the accuracy gap that the translation closes, with a paired bootstrap.

    No interval where more than 5 % of the bootstrap samples have no gap: then it is not above its own noise.
    """
    found: dict[str, dict[str, float | None]] = {}
    for direction, reader, raw, translated in (
        ("deconvolve", "target", "convolved", "deconvolved"),
        ("deconvolve_noisy", "target", "noisy", "noisy_deconvolved"),
        ("convolve", "convolved", "target", "convolved_again"),
    ):
        keys = [f"{reader}:{name}" for name in (reader, raw, translated)]
        if not all(key in right for key in keys):
            continue
        values = np.stack([right[key] for key in keys]).astype(float)
        draws = rng.integers(0, values.shape[1], (BOOTSTRAP, values.shape[1]))
        found[direction] = {
            "gap": float(values[0].mean() - values[1].mean()),
            "value": _closed(values.mean(axis=1)),
            "low": None,
            "high": None,
        }
        shares = [_closed(means) for means in values[:, draws].mean(axis=2).T]
        finite = [share for share in shares if share is not None]
        if len(finite) > 0.95 * BOOTSTRAP:  # else the gap itself is not above its noise
            found[direction]["low"], found[direction]["high"] = np.quantile(finite, (0.025, 0.975)).tolist()
    return found


def _closed(means: Floats) -> float | None:
    """(translated − raw)/(ceiling − raw) of accuracies (ceiling, raw, translated); None without a gap."""
    ceiling, raw, translated = (float(value) for value in means)
    return (translated - raw) / (ceiling - raw) if ceiling > raw else None


def _paired(raw: torch.Tensor, made: torch.Tensor, truth: torch.Tensor, read: _Set) -> dict[str, Any]:
    """Relative L2 to the true counterpart, untranslated and translated, over measured bins.

    ``mean``: ‖x − truth‖/‖truth‖ of whole mosaics, averaged over them. ``per_panel`` (Ei, E) and
    ``per_incident_energy`` (Ei,): √(Σ|x − truth|² / Σ|truth|²) over all mosaics, since a single panel can be
    empty; None where all of them are.
    """
    keep = ~read.mask
    size = (truth * keep).double().square().sum(dim=(2, 3))  # (n, Ei, E)
    result: dict[str, Any] = {}
    for name, x in (("untranslated", raw), ("translated", made)):
        error = ((x - truth) * keep).double().square().sum(dim=(2, 3))
        result[name] = {
            "mean": float((error.sum(dim=(1, 2)) / size.sum(dim=(1, 2)).clamp_min(1e-30)).sqrt().mean()),
            "per_incident_energy": _ratios(error.sum(dim=(0, 2)), size.sum(dim=(0, 2))),
            "per_panel": [_ratios(e, s) for e, s in zip(error.sum(dim=0), size.sum(dim=0), strict=True)],
        }
    return result


def _ratios(error: torch.Tensor, size: torch.Tensor) -> list[float | None]:
    return [(e / s) ** 0.5 if s > 0 else None for e, s in zip(error.tolist(), size.tolist(), strict=True)]


def _flux(made: torch.Tensor, truth: torch.Tensor, read: _Set) -> dict[str, Any]:
    """Total intensity of the translation over the true one: over all, and per panel over the whole set."""
    keep = ~read.mask
    sums = [(x * keep).double().sum(dim=(0, 2, 3)) for x in (made, truth)]
    floor = 1e-6 * float(sums[1].max())
    per_panel = [
        [m / t if t > floor else None for m, t in zip(row_made, row_true, strict=True)]
        for row_made, row_true in zip(sums[0].tolist(), sums[1].tolist(), strict=True)
    ]
    return {"per_panel": per_panel, "all": float(sums[0].sum() / sums[1].sum())}


def null_response(model: Model, read: _Set, seed: int = 0) -> dict[str, dict[str, dict[str, float]]]:
    """Correlations with every class of inputs that belong to none: empty, constant, noise, shuffled bins."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    one = read.target[:1]
    level = float(read.convolved[:, ~read.mask].mean())
    order = torch.randperm(one.numel(), generator=generator)
    foreign = {
        "empty": torch.zeros_like(one),
        "constant": torch.full_like(one, level),
        "noise": torch.randn(one.shape, generator=generator) * level,
        "shuffled": one.flatten()[order].reshape(one.shape),
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for domain in model.card.classifiers:
        found[domain] = {}
        for name, x in foreign.items():
            values = correlations(model, domain, torch.where(read.mask, 0.0, x), read.mask)[0]
            found[domain][name] = dict(zip(model.card.classes, values.tolist(), strict=True))
    return found


def tables(report: Mapping[str, Any]) -> str:
    """The report as Markdown tables."""
    lines = ["| classifier | input | accuracy | 95 % interval |", "| --- | --- | --- | --- |"]
    for key, share in report["accuracy"].items():
        reader, name = key.split(":")
        lines.append(
            f"| {READERS[reader][0]} | {name.replace('_', ' ')} | {100 * share['value']:.1f} % "
            f"| {100 * share['low']:.1f} to {100 * share['high']:.1f} |"
        )
    lines += ["", "| direction | gap, points | closed | 95 % interval |", "| --- | --- | --- | --- |"]
    for name, gap in report["gap_closed"].items():
        closed = "no gap" if gap["value"] is None else f"{100 * gap['value']:.0f} %"
        interval = (
            "the gap is not above its noise"
            if gap["low"] is None
            else f"{100 * gap['low']:.0f} to {100 * gap['high']:.0f}"
        )
        lines.append(f"| {name.replace('_', ' ')} | {100 * gap['gap']:.1f} | {closed} | {interval} |")
    lines += ["", "| relative L2 to the truth | untranslated | translated |", "| --- | --- | --- |"]
    for name, error in report["relative_l2"].items():
        lines.append(
            f"| {name.replace('_', ' ')} | {error['untranslated']['mean']:.3f} "
            f"| {error['translated']['mean']:.3f} |"
        )
    for name, error in report["relative_l2"].items():
        if name != "deconvolve_noisy":
            lines += ["", *_panels(f"relative L2, {name}", error, report["incident_energies"])]
    lines += ["", "| input of no class | classifier | " + " | ".join(_classes(report)) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(_classes(report)))
    for domain, answers in report["null_response"].items():
        for name, values in answers.items():
            lines.append(f"| {name} | {domain} | " + " | ".join(f"{v:.3f}" for v in values.values()) + " |")
    return "\n".join(lines)


def _classes(report: Mapping[str, Any]) -> list[str]:
    return list(next(iter(next(iter(report["null_response"].values())).values())))


def _panels(title: str, error: Mapping[str, Any], energies: list[float]) -> list[str]:
    """A row per incident energy, a column per window, untranslated → translated."""
    before, after = (error[name]["per_panel"] for name in ("untranslated", "translated"))
    lines = [f"| {title} | " + " | ".join(f"window {n}" for n in range(len(before[0]))) + " |"]
    lines.append("| --- |" + " --- |" * len(before[0]))
    for energy, old, new in zip(energies, before, after, strict=True):
        cells = [
            "–" if o is None or n is None else f"{o:.2f} → {n:.2f}" for o, n in zip(old, new, strict=True)
        ]
        lines.append(f"| {energy:g} meV | " + " | ".join(cells) + " |")
    return lines
