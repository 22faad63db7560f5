"""Horace files of versions 2, 3, 3.1 and 3.3: one record after the other, from the beginning."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from mantid_exp2sim.io.axes import common_energy
from mantid_exp2sim.io.binary import Stream
from mantid_exp2sim.io.files import damaged
from mantid_exp2sim.io.horace.image import Image, read_header

MAX_RUNS = 100_000


def read_image(stream: Stream, *, version: float, is_sqw: bool, ndim: int) -> Image:
    """Read the image; `stream` stands after the file's header of 26 bytes."""
    energies = _runs(stream) if is_sqw else []
    image = read_header(stream)
    if len(image.plotted) != ndim:
        raise damaged(f"The header names {ndim} dimensions and the data {len(image.plotted)}.")
    size = math.prod(image.shape)
    stream.need(16 * size, f"The image of {size} bins")
    s, e = (stream.array("<f4", size, name).reshape(image.shape, order="F") for name in ("s", "e"))
    npix = stream.array("<i8", size, "npix").reshape(image.shape, order="F")
    if np.any(npix < 0):
        raise damaged("A number of pixels is negative.")
    return dataclasses.replace(
        image, s=s, e=e, npix=npix, version=version, is_sqw=is_sqw, incident_energy=common_energy(energies)
    )


def _runs(stream: Stream) -> list[float]:
    """Pass over everything before the data; return the incident energies of runs in direct geometry."""
    for what in ("the file name", "the file path", "the title"):
        stream.text(what)
    energies = []
    for _ in range(stream.count("i", "The number of runs", high=min(MAX_RUNS, stream.left // 188))):
        stream.text("a run's file name")
        stream.text("a run's file path")
        energy, mode = stream.numbers("fi", "The energy of a run")
        if mode == 1:
            energies.append(float(energy))
        stream.skip(17 * 4, "The orientation of a run")
        stream.skip(4 * stream.count("i", "A number of energies", high=stream.left // 4), "The energies")
        stream.skip(24 * 4, "The projection of a run")
        rows, width = stream.numbers("2i", "The labels of a run")
        stream.skip(_product(rows, width), "The labels of a run")
    stream.text("the detectors' file name")
    stream.text("the detectors' file path")
    count = stream.count("i", "The number of detectors", high=stream.left // 24)
    stream.skip(24 * count, "The detectors")
    return energies


def _product(rows: int, width: int) -> int:
    if rows < 0 or width < 0:
        raise damaged(f"The labels of a run are of shape ({rows}, {width}).")
    return rows * width
