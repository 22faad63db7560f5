"""What was not measured in a published array: from a mask file, from the array itself, or from the coverage.

The measured mask of the published PCSMO data (``nanmask.mat``) is stored upside down with respect to its
image. So a mask of the picture is turned where it is clearly that mask the other way up: turned it agrees
with the computed coverage on 10 % of the bins more, and the data do not speak against it. (Bins under the
mask hold 0 or no number in the published arrays: the data do if it hides more than twice as many others.)
Any other mask is used as it is given, also one that hides data: that is what masks are for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Booleans, Floats
from mantid_exp2sim.io.arrays import MAGIC, drop_ones, map_npy
from mantid_exp2sim.io.files import reading
from mantid_exp2sim.mosaic import SHAPE, VOLUMES_SHAPE, picture_from_volumes, volumes_from_picture

MaskLike = str | os.PathLike[str] | npt.ArrayLike
MAX_MAT_BYTES = 64 * 2**20
_MASK_VALUES = "Give booleans, or 0 and 1, where 1 means not measured."


def read_mask(mask: MaskLike, shape: tuple[int, ...]) -> Booleans:
    """Return a mask of `shape` (True = not measured) from an array, a ``.npy`` or a MATLAB 5 ``.mat`` file.

    Numbers count as True where they are 1 or NaN. Axes of length 1 count for nothing, and for the mosaic
    volumes (6, 40, 40, 10) are laid out as the picture.

    Raises
    ------
    Exp2SimError
        If the file cannot be read, the shape differs, or there are other values than 0, 1 and NaN.
    """
    name = f"The mask {os.fspath(mask)}" if isinstance(mask, str | os.PathLike) else "The mask"
    values = _read(Path(mask), shape) if isinstance(mask, str | os.PathLike) else np.asarray(mask)
    if drop_ones(values.shape) == drop_ones(shape):
        values = values.reshape(shape)
    if values.dtype.kind not in "biuf":
        raise Exp2SimError(f"{name} holds {values.dtype}.", fix=_MASK_VALUES)
    result = (values != 0) | np.isnan(values)
    if not np.all((values == 0) | (values == 1) | np.isnan(values)):
        raise Exp2SimError(f"{name} holds values other than 0, 1 and NaN.", fix=_MASK_VALUES)
    if shape == SHAPE and result.shape == VOLUMES_SHAPE:
        result = picture_from_volumes(result)
    if result.shape != shape:
        raise Exp2SimError(
            f"{name} has shape {values.shape}.",
            reason=f"The data have shape {shape}.",
            fix="Give the mask of these data.",
        )
    return np.ascontiguousarray(result)


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    with reading(path), path.open("rb") as file:
        head = file.read(16)
    if head.startswith(MAGIC):
        return np.asarray(map_npy(path))
    if head.startswith(b"MATLAB 5.0"):
        return _read_mat(path, shape)
    raise Exp2SimError(
        f"The mask {path} is neither a numpy .npy file nor a MATLAB 5 .mat file.",
        fix="In MATLAB: save('mask.mat', 'mask', '-v7'). In Python: numpy.save('mask.npy', mask).",
    )


def _read_mat(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    from scipy.io import loadmat

    if path.stat().st_size > MAX_MAT_BYTES:
        raise Exp2SimError(
            f"The mask {path} takes more than {MAX_MAT_BYTES} bytes.", fix="Save the mask alone, as logical."
        )
    with reading(path, Exception):  # scipy raises nearly anything on a damaged file
        content = loadmat(str(path), chars_as_strings=False)
    values = [value for value in content.values() if isinstance(value, np.ndarray)]
    arrays = [
        value for value in values if value.dtype.kind in "biuf" and drop_ones(value.shape) == drop_ones(shape)
    ]
    if len(arrays) != 1:
        raise Exp2SimError(
            f"The mask {path} holds {len(arrays)} arrays of shape {shape}.",
            reason="It takes exactly one.",
            fix="In MATLAB: save('mask.mat', 'mask', '-v7').",
        )
    return arrays[0]


def coverage_picture() -> Booleans:
    """Return the computed detector coverage as a picture (240, 400), True = not measured."""
    from mantid_exp2sim.simulation.coverage import mosaic_coverage_mask

    return picture_from_volumes(np.asarray(mosaic_coverage_mask(), dtype=bool))


def upright(mask: Booleans, picture: Floats) -> tuple[Booleans, bool]:
    """Lay a mask of the mosaic the right way up; return it and whether it was turned (see above)."""
    turned = mask[::-1]
    filled = np.isfinite(picture) & (picture != 0)
    hidden, hidden_turned = int(np.sum(filled & mask)), int(np.sum(filled & turned))
    if 2 * hidden < hidden_turned:
        return mask, False
    coverage = coverage_picture()
    gain = np.mean(turned == coverage) - np.mean(mask == coverage)
    return (np.ascontiguousarray(turned), True) if gain > 0.1 else (mask, False)


def read_mosaic_mask(path: str | os.PathLike[str]) -> Booleans:
    """Read the mask of a mosaic as its volumes (6, 40, 40, 10), the way up that agrees with the coverage."""
    picture, _ = upright(read_mask(path, SHAPE), np.where(coverage_picture(), 0.0, 1.0))
    return volumes_from_picture(picture)


def source(turned: bool) -> str:
    """What the metadata say of a given mask."""
    return "given, turned upside down" if turned else "given"


def find_mask(picture: Floats, mask: MaskLike | None) -> tuple[Booleans, str]:
    """Return the mask of a published picture (240, 400) and where it comes from.

    A given mask is taken (laid upright), else the gaps that the picture itself marks with NaN where it does
    so in at least half of the computed gaps, else the computed coverage. Bins without a finite number are
    masked in any case.
    """
    unknown = ~np.isfinite(picture)
    if mask is not None:
        hidden, turned = upright(read_mask(mask, SHAPE), picture)
        return hidden | unknown, source(turned)
    coverage = coverage_picture()
    if 2 * int(np.sum(unknown & coverage)) >= int(np.sum(coverage)):
        return unknown, "not finite"
    return coverage | unknown, "computed coverage"
