"""Data that are not in a model's domain, or that are, and what the domain check says of them.

Every control is brought to the mean intensity of an in-domain spectrum and gets the same background and
noise, so that neither gives it away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from mantid_exp2sim.histogram import Floats
from mantid_exp2sim.simulation.surroundings import binned_line
from mantid_exp2sim.training.datasets.volumes import Volumes
from mantid_exp2sim.training.synthetic.excitations import averaged, positions

Shape: TypeAlias = tuple[int, ...]
GLYPHS = 60
"""Digits that are drawn; each panel takes one of them."""


def antiferromagnet(shape: Shape, energies: NDArray[Any], rng: np.random.Generator, *, top: float) -> Floats:
    """One spectrum (G, h, k, E) of the square-lattice antiferromagnet of Rb2MnF4, with resolution.

    ω(q) = ω_max √(1 − (γ/1.0048)²), S ∝ √((1.0048 − γ)/(1.0048 + γ)), γ = (cos 2πh + cos 2πk)/2 (Huberman et
    al., PRB 72 (2005) 014413: ω_max = 6.6 meV with the gap); ``top`` is ω_max in meV. h and k from −1 to 1,
    energies from 0.1 to 0.7 Ei, σ_E = 2.5 % of Ei.
    """
    _, nh, nk, ne = shape
    h, k = (positions(n, 3) for n in (nh, nk))
    gamma = 0.5 * (np.cos(2 * np.pi * h)[:, None] + np.cos(2 * np.pi * k)[None])
    omega = top * np.sqrt(1 - (gamma / 1.0048) ** 2)
    falling = np.exp(-0.8 * (h[:, None] ** 2 + k[None] ** 2))  # the form factor of Mn2+, roughly
    weight = falling * np.sqrt((1.0048 - gamma) / (1.0048 + gamma))
    out = np.empty(shape)
    for number, energy in enumerate(energies):
        edges = energy * np.linspace(0.1, 0.7, ne + 1)
        out[number] = averaged(binned_line(omega, weight, edges, 0.025 * energy), 3)
    return out


def digits(count: int, height: int, width: int, rng: np.random.Generator) -> Floats:
    """Pictures (count, height, width) of digits, in several fonts, sizes, places and rotations."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter, zoom

    fonts = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral", "cmr10")
    pool = []
    for _ in range(count):
        figure = Figure(figsize=(1, 1), dpi=48)
        canvas: Any = FigureCanvasAgg(figure)
        x, y = 0.5 + 0.06 * rng.standard_normal(2)
        figure.text(
            x, y, str(rng.integers(10)), fontsize=rng.uniform(36, 62), rotation=rng.uniform(-25, 25),
            ha="center", va="center", family=fonts[rng.integers(len(fonts))],
        )  # fmt: skip
        canvas.draw()
        ink = 255.0 - np.asarray(canvas.buffer_rgba())[..., 0]
        small = zoom(ink, (height / ink.shape[0], width / ink.shape[1]), order=1)
        pool.append(gaussian_filter(small, 0.6).clip(0))
    return np.array(pool)


def photograph(height: int, width: int, rng: np.random.Generator, *, real: bool) -> Floats:
    """A picture (height, width): part of matplotlib's sample photograph, or a texture with a 1/f spectrum."""
    from scipy.ndimage import zoom

    picture = _sample_photograph() if real else None
    if picture is not None:
        size = [int(n * rng.uniform(0.4, 1.0)) for n in picture.shape]
        top, left = (int(rng.integers(n - s + 1)) for n, s in zip(picture.shape, size, strict=True))
        picture = picture[top : top + size[0], left : left + size[1]][:, :: rng.choice([-1, 1])]
    else:
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
        frequency[0, 0] = 1
        white = np.fft.fft2(rng.standard_normal((height, width)))
        picture = np.fft.ifft2(white / frequency ** rng.uniform(0.8, 1.6)).real
        picture = picture - np.quantile(picture, 0.05)
    grown = zoom(picture, (height / picture.shape[0], width / picture.shape[1]), order=1)
    return np.asarray(grown[:height, :width].clip(0), dtype=float)


def _sample_photograph() -> Floats | None:
    from matplotlib.cbook import get_sample_data
    from matplotlib.image import imread

    try:
        with cast(BinaryIO, get_sample_data("grace_hopper.jpg")) as file:
            return np.asarray(np.asarray(imread(file, format="jpg"), dtype=np.float64).mean(axis=-1))
    except (OSError, FileNotFoundError, ValueError):
        return None


def _panels(pictures: Floats) -> Floats:
    """Pictures (G, E, h, k) as volumes (G, h, k, E)."""
    return np.moveaxis(pictures, 1, -1)


def _cut(picture: Floats, shape: Shape) -> Floats:
    groups, nh, nk, ne = shape
    return np.asarray(picture.reshape(groups, nh, ne, nk).transpose(0, 1, 3, 2))


def _shuffled_panels(x: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """A spectrum (G, h, k, E) with its panels, over all energies, in another order."""
    panels = np.moveaxis(x, -1, 1)
    flat = panels.reshape(-1, *panels.shape[2:])
    return np.moveaxis(flat[rng.permutation(len(flat))].reshape(panels.shape), 1, -1)


def _shuffled_bins(x: NDArray[Any], mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
    out = np.array(x)
    good = np.flatnonzero(~mask.ravel())
    out.ravel()[good] = out.ravel()[good[rng.permutation(good.size)]]
    return out


def controls(inside: Volumes, rng: np.random.Generator, *, held_out: bool = False) -> dict[str, Volumes]:
    """Foreign spectra, as many of each kind as in-domain ones (without background and noise).

    ``held_out`` adds those that no limit is ever chosen on (Rb2MnF4, photographs, exchanged masks).
    """
    shape = inside.values.shape[1:]
    groups, nh, nk, ne = shape
    drawn = digits(GLYPHS, nh, nk, rng)
    makers: dict[str, Callable[[int], Any]] = {
        "shuffled panels": lambda i: _shuffled_panels(inside.values[i], rng),
        "shuffled bins": lambda i: _shuffled_bins(inside.values[i], inside.mask[i], rng),
        "digits": lambda i: _panels(drawn[rng.integers(GLYPHS, size=(groups, ne))]),
        "textures": lambda i: _cut(photograph(groups * nh, ne * nk, rng, real=False), shape),
    }
    if held_out:
        makers |= {
            "Rb2MnF4": lambda i: antiferromagnet(
                shape, inside.energies[i], rng, top=6.6 * np.exp(0.1 * rng.standard_normal())
            ),
            "Rb2MnF4, wider band": lambda i: antiferromagnet(
                shape, inside.energies[i], rng, top=float(inside.energies[i].max() * rng.uniform(0.2, 0.6))
            ),
            "photographs": lambda i: _cut(photograph(groups * nh, ne * nk, rng, real=True), shape),
            "featureless": lambda i: np.ones(shape) * np.exp(-np.arange(ne) / (rng.uniform(0.2, 2) * ne)),
            "Rb2MnF4, middle band": lambda i: antiferromagnet(
                shape, inside.energies[i], rng, top=float(inside.energies[i].max() * rng.uniform(0.07, 0.2))
            ),
        }
    foreign = {}
    for name, make in makers.items():
        x = np.stack([make(i) for i in range(len(inside))])
        foreign[name] = inside.filled(x).of_means(inside.means)
    if held_out:
        foreign |= exchanged_masks(inside)
    return foreign


def exchanged_masks(inside: Volumes) -> dict[str, Volumes]:
    """The data as they are (0 in their gaps) with a mask that is not theirs."""
    other = np.roll(inside.mask, 1, axis=1) if inside.values.shape[1] > 1 else inside.mask[..., ::-1]
    masks = {"mask of another energy": other, "mask mirrored in h": inside.mask[:, :, ::-1]}
    return {
        name: Volumes(np.where(mask | inside.mask, 0, inside.values), mask, inside.energies)
        for name, mask in masks.items()
    }
