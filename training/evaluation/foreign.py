"""What the classifiers say of other materials: no correlation may be gained by a forced deconvolution.

Every foreign spectrum gets the background and the noise of the measurement-like input. Its largest
correlation is read raw by both classifiers, and after the deconvolution by that of the target; the last two
are of the same spectrum and the same classifier, so their difference is what deconvolving adds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.domain.check import check_volumes
from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.inference.volumes import Volumes
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import DataKind
from mantid_exp2sim.simulation.constants import ENERGY_PER_K2
from mantid_exp2sim.simulation.manganite import LATTICE
from mantid_exp2sim.simulation.surroundings import binned_line
from mantid_exp2sim.training.datasets.spectra import Batch, Spectra
from mantid_exp2sim.training.datasets.volumes import Volumes as Stack
from mantid_exp2sim.training.evaluation.baselines import translated
from mantid_exp2sim.training.evaluation.bootstrap import interval
from mantid_exp2sim.training.synthetic.controls import controls
from mantid_exp2sim.training.synthetic.excitations import averaged, positions
from mantid_exp2sim.training.trainers.scores import correlations

if TYPE_CHECKING:
    import torch

NOT_KNOWN = "not known"
OWN = "measurement-like"
"""Spectra of the data set itself, for comparison."""
LEFT_OUT = "mask"
"""Controls whose names begin so are the material's own, with another mask."""
READINGS = {
    "raw_convolved": ("convolved", "raw, classifier of convolved data"),
    "raw_target": ("target", "raw, classifier of the target"),
    "deconvolved": ("target", "deconvolved, classifier of the target"),
}
"""Which classifier reads, and what that is called."""


def phonons(shape: tuple[int, ...], energies: NDArray[Any], rng: np.random.Generator) -> Floats:
    """One spectrum (G, h, k, E) as of lattice vibrations: two acoustic branches and an optical one.

    ω_a = ω_max √((2 − cos 2πh − cos 2πk)/4), the transverse one 0.7 of the longitudinal, and an optical
    branch that falls by a tenth to the zone boundary, all created at low temperature: intensity Q²/ω
    (Squires, *Thermal Neutron Scattering*, 1978, eq. 3.120, without the Debye–Waller factor) and no magnetic
    form factor. The band tops are drawn: 0.12 to 0.3 and 0.35 to 0.6 of the largest of ``energies`` (G,), in
    meV. Q has the part along the beam that the energy transfer asks for. h and k from −1 to 1, energies from
    0.1 to 0.7 Ei, σ_E = 2.5 % of Ei.
    """
    _, nh, nk, ne = shape
    h, k = (positions(n, 3) for n in (nh, nk))
    way = (2 - np.cos(2 * np.pi * h)[:, None] - np.cos(2 * np.pi * k)[None]) / 4
    across = (2 * np.pi * h / LATTICE[0])[:, None] ** 2 + (2 * np.pi * k / LATTICE[1])[None] ** 2
    acoustic, optical = (float(np.max(energies)) * rng.uniform(*ends) for ends in ((0.12, 0.3), (0.35, 0.6)))
    branches = [factor * acoustic * np.sqrt(way) for factor in (0.7, 1.0)] + [optical * (1 - 0.1 * way)]
    out = np.empty(shape)
    for number, energy in enumerate(energies):
        edges = energy * np.linspace(0.1, 0.7, ne + 1)
        left = (energy - 0.5 * (edges[1:] + edges[:-1])) / ENERGY_PER_K2 - across[..., None]
        along = np.sqrt(energy / ENERGY_PER_K2) - np.sqrt(np.maximum(left, 0))
        volume = np.zeros(along.shape)
        for omega in branches:
            volume += binned_line(omega, 1 / np.maximum(omega, 0.5), edges, 0.025 * energy)
        volume *= across[..., None] + along**2
        out[number] = averaged(volume, 3)
    return out


def foreign_spectra(batch: Batch, spectra: Spectra) -> dict[str, NDArray[np.float32]]:
    """As many of each foreign kind as the batch holds, measurement-like, (n, Ei, h, k, E); and its own."""
    inside = _stack(batch, spectra)
    rng = np.random.default_rng([spectra.seed, 3, batch.first])
    sets = controls(inside, rng, held_out=True)
    foreign = {name: volumes.values for name, volumes in sets.items() if not name.startswith(LEFT_OUT)}
    foreign["phonons"] = _phonons(inside, rng)
    spectra_by_name = {OWN: batch.measured.numpy()}
    for name, x in foreign.items():
        keys = [(3, crc32(name.encode()), batch.first + number) for number in range(len(x))]
        noisy = [spectra.add_noise(spectrum, key) for spectrum, key in zip(x, keys, strict=True)]
        spectra_by_name[name] = np.stack(noisy)
    return spectra_by_name


def _stack(batch: Batch, spectra: Spectra) -> Stack:
    x = batch.convolved.numpy()
    energies = np.broadcast_to(spectra.energies.numpy(), x.shape[:2])
    return Stack(x, np.broadcast_to(spectra.data.mask, x.shape), energies)


def _phonons(inside: Stack, rng: np.random.Generator) -> NDArray[np.float32]:
    """With the mean intensity of in-domain spectra."""
    intensity = np.stack([phonons(inside.values.shape[1:], energies, rng) for energies in inside.energies])
    return inside.filled(intensity).of_means(inside.means).values


def foreign_report(
    model: Bundle, spectra: Spectra, count: int, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The largest correlations of ``count`` spectra of each foreign kind, raw and deconvolved by force.

    JSON: ``spectra``, ``thresholds`` by reading, and ``controls`` by name: for each reading the ``mean`` of
    the largest correlation and the share ``above`` the classifier's threshold, the paired ``change`` of the
    mean by deconvolving (after − before, the same classifier), all with 95 % bootstrap intervals, and
    ``refused``, the share that the domain check calls untrustworthy (None where the model has no reference).
    """
    count = min(count, len(spectra))
    target = model.card.target
    if count < 1:
        return {NOT_KNOWN: "no spectrum was asked for"}
    if target not in model.card.classifiers:
        return {NOT_KNOWN: "the model has no classifier of its target"}
    read: dict[str, dict[str, list[NDArray[Any]]]] = defaultdict(lambda: defaultdict(list))
    for batch in spectra.batches(count):
        for name, x in foreign_spectra(batch, spectra).items():
            for reading, values in _readings(model, spectra, x):
                read[name][reading].append(values)
        if progress is not None:
            progress(f"foreign materials: {batch.first + len(batch.label)} of {count} of each kind")
    cards = {"convolved": model.card.classifiers.get("convolved"), "target": model.card.classifiers[target]}
    thresholds = {reading: card.threshold for reading, (key, _) in READINGS.items() if (card := cards[key])}
    return {
        "spectra": count,
        "thresholds": thresholds,
        "controls": {
            name: _figures(
                {reading: np.concatenate(parts) for reading, parts in parts_of.items()},
                thresholds,
                spectra.seed,
            )
            for name, parts_of in read.items()
        },
    }


def _readings(model: Bundle, spectra: Spectra, x: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The largest correlation (n,) by reading, and whether the domain check refuses."""
    import torch

    whole = torch.from_numpy(x)
    deconvolved = translated(model, "deconvolve", whole, spectra)
    if "convolved" in model.card.classifiers:
        yield "raw_convolved", _largest(model, "convolved", whole, spectra)
    yield "raw_target", _largest(model, model.card.target, whole, spectra)
    yield "deconvolved", _largest(model, model.card.target, deconvolved, spectra)
    verdicts = [_verdict(model, spectra, spectrum) for spectrum in x]
    if "not known" not in verdicts:
        yield "refused", np.array([verdict == "untrustworthy" for verdict in verdicts])


def _largest(model: Bundle, domain: DataKind, x: torch.Tensor, spectra: Spectra) -> Floats:
    return np.asarray(correlations(model, domain, x, spectra.mask).max(axis=1))


def _verdict(model: Bundle, spectra: Spectra, x: NDArray[np.float32]) -> str:
    """As a user meets it, in the data's own units."""
    mask = spectra.data.mask
    values = np.where(mask, np.nan, x).astype(float)
    energies = spectra.energies.numpy().astype(float)
    volumes = Volumes(values, np.zeros_like(values), mask, energies, open=lambda a: a, close=lambda a: a)
    return check_volumes(model, volumes, 1.0, "deconvolve").verdict


def _figures(readings: dict[str, NDArray[Any]], thresholds: dict[str, float], seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {
        reading: {
            "mean": interval(readings[reading], seed),
            "above": interval(readings[reading] >= limit, seed),
        }
        for reading, limit in thresholds.items()
    }
    figures["change"] = interval(readings["deconvolved"] - readings["raw_target"], seed)
    figures["refused"] = float(readings["refused"].mean()) if "refused" in readings else None
    return figures
