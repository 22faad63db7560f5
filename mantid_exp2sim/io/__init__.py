"""File formats, chosen by content when reading and by the name's ending when writing.

One module per format; `load` and `save` are all that the rest of the package uses.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError, require
from mantid_exp2sim.histogram import Histogram, require_histogram
from mantid_exp2sim.io.files import reading
from mantid_exp2sim.storage.atomic import cannot_write, require_place

if TYPE_CHECKING:
    from mantid_exp2sim.io.masks import MaskLike

__all__ = ["ENDINGS", "load", "require_output", "save"]

ENDINGS = {".nxs": "mdhisto", ".npy": "npy", ".npz": "npz"}
ENDINGS |= dict.fromkeys((".sqw", ".d1d", ".d2d", ".d3d", ".d4d"), "horace")
"""Endings that `save` takes, and the format that each means."""

_LOG = logging.getLogger(__name__)
_HDF5 = b"\x89HDF\r\n\x1a\n"


def load(
    path: str | os.PathLike[str],
    *,
    mask: MaskLike | None = None,
    index: int | tuple[int, ...] | None = None,
    lattice: tuple[float, float] | None = None,
    twins: Sequence[float] | None = None,
) -> Histogram:
    """Read a histogram from a file; the format is told from the content.

    Taken are Mantid MDHisto NeXus files, Horace's ``.sqw`` and ``.d1d`` … ``.d4d``, SpinW's results in
    MATLAB files, NXSPE, the published ``.npy`` arrays and this package's ``.npz``.

    Parameters
    ----------
    path
        The file.
    mask
        What was not measured, in the shape of the data: an array (True or 1 = not measured), or a ``.npy``
        or ``.mat`` file. It is joined with what the file itself says. A published mosaic without it is
        masked by the computed detector coverage, unless it marks its gaps with NaN.
    index
        Which entry of a published array that holds several spectra.
    lattice
        Lattice constants a and b in Å: an NXSPE file becomes h–k–E with c ∥ ki. Without them it is |Q|–E.
    twins
        Volumes of the twins of a SpinW result, in their order and any unit. Without them those of the file
        count, else equal ones, which the metadata ``left_out`` then say.

    Returns
    -------
    Histogram
        Intensity, variance (0 where the file has none: an error that is not known), mask and axes.

    Raises
    ------
    Exp2SimError
        If the file is missing, damaged, of an unknown kind, or has no measured bin.

    Examples
    --------
    >>> import tempfile, numpy
    >>> path = Path(tempfile.mkdtemp()) / "measured.npy"
    >>> numpy.save(path, numpy.ones((1, 240, 400)))
    >>> h = load(path)
    >>> h.shape, h.metadata["layout"], bool(h.mask.any())
    ((240, 400), 'mosaic', True)
    """
    require(path, (str, os.PathLike), "the path of a file", fix="Give its name.")
    file = Path(path).expanduser()
    kind = _kind(file)
    if index is not None and kind != "npy":
        raise Exp2SimError(f"{file} holds one histogram.", fix="Leave the index out.")
    if lattice is not None and kind != "nxspe":
        raise Exp2SimError(f"{file} is no NXSPE file.", fix="Leave the lattice out.")
    if twins is not None and kind not in ("matlab5", "matlab73"):
        raise Exp2SimError(f"{file} is no result of SpinW.", fix="Leave the volumes of the twins out.")
    if kind == "npy":
        from mantid_exp2sim.io import published

        entry = (index,) if isinstance(index, int) else index
        return _checked(published.read(file, mask=mask, index=entry), file)
    try:
        with np.errstate(all="ignore"):
            histogram = _read(file, kind, lattice, twins)
    except MemoryError as error:
        raise Exp2SimError(
            f"{file} is too large for this machine's memory.", fix="Cut the data, or use another machine."
        ) from error
    histogram = _checked(_with_mask(histogram, mask), file)
    _LOG.info("read %s (%s): %r", file, kind, histogram)
    return histogram


def _read(
    file: Path, kind: str, lattice: tuple[float, float] | None, twins: Sequence[float] | None
) -> Histogram:
    if kind == "npz":
        from mantid_exp2sim.io import npz

        return npz.read(file)
    if kind == "horace":
        from mantid_exp2sim.io import horace

        return horace.read(file)
    if kind in ("matlab5", "matlab73"):
        from mantid_exp2sim.io import spinw

        return spinw.read(file, is_hdf5=kind == "matlab73", twins=twins)
    if kind == "nxspe":
        from mantid_exp2sim.io import nxspe

        return nxspe.read(file, lattice=lattice)
    from mantid_exp2sim.io import mdhisto

    return mdhisto.read(file)


def save(histogram: Histogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a histogram; the file appears whole or not at all. The ending of the name chooses the format.

    ``.nxs``: Mantid MDHisto (SaveMD 2), for everything but a mosaic. ``.npy``: the published picture, a
    mosaic only, NaN where not measured, without variance; its metadata lie beside it in ``.npy.json``.
    ``.sqw``, ``.d1d`` … ``.d4d``: Horace's dnd of version 2, for up to four axes, without the metadata.
    ``.npz``: any histogram with everything except a NeXus file's logs.

    Parameters
    ----------
    histogram
        What to write.
    path
        Where to.
    overwrite
        Replace a file that is there; without it that is an error.

    Raises
    ------
    Exp2SimError
        If the ending is unknown, the format cannot hold this histogram, a file is there already, or the
        folder cannot be written.

    Examples
    --------
    >>> import tempfile, numpy
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> path = Path(tempfile.mkdtemp()) / "mosaic.npz"
    >>> save(mosaic_histogram(numpy.ones((240, 400))), path)
    >>> load(path).shape
    (240, 400)
    >>> save(load(path), path)
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: .../mosaic.npz is there already. ...
    """
    require_histogram(histogram)
    kind = require_output(path, overwrite=overwrite)
    file = Path(path).expanduser()
    _require_layout(histogram, file, kind)
    try:
        _write(histogram, file, kind)
    except OSError as error:
        raise cannot_write(file, error) from error


def require_output(
    path: str | os.PathLike[str], *, like: Histogram | None = None, overwrite: bool = False
) -> str:
    """Return the format of a file that is to be written; refuse before the work what `save` would refuse.

    ``like`` is a histogram of the axes that are to be written, where it is there already.

    Raises
    ------
    Exp2SimError
        As `save`.

    Examples
    --------
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> require_output("result.nxs", like=mosaic_histogram(np.ones((240, 400))))
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: A mosaic cannot be written as one Mantid workspace ...
    """
    require(path, (str, os.PathLike), "the path of a file", fix="Give its name.")
    file = Path(path).expanduser()
    kind = ENDINGS.get(file.suffix.lower())
    if kind is None:
        raise Exp2SimError(
            f"{file} ends in {file.suffix or 'nothing'}.", fix=f"Let it end in {', '.join(ENDINGS)}."
        )
    require_place(file, overwrite=overwrite)
    if kind == "npy":
        from mantid_exp2sim.io import published

        require_place(published.beside(file), overwrite=overwrite)
    if like is not None:
        _require_layout(like, file, kind)
    if like is not None and kind == "horace":
        from mantid_exp2sim.io import horace

        horace.content(like, file)
    return kind


def _require_layout(histogram: Histogram, file: Path, kind: str) -> None:
    """Refuse a mosaic where there is no place for one, and all else where there is for nothing else."""
    from mantid_exp2sim.mosaic import is_mosaic

    if kind == "npy":
        from mantid_exp2sim.io import published

        published.require_mosaic(histogram)
    elif kind != "npz" and is_mosaic(histogram):
        raise Exp2SimError(
            "A mosaic cannot be written as one Mantid workspace or Horace image.",
            reason="Its rows and columns are panels, not axes.",
            fix=f"Write {file.stem}.npy or {file.stem}.npz, or its six (h, k, E) "
            "volumes: for v in mantid_exp2sim.mosaic.split(h): mantid_exp2sim.save(v, ...).",
        )


def _write(histogram: Histogram, file: Path, kind: str) -> None:
    if kind == "npy":
        from mantid_exp2sim.io import published

        published.write(histogram, file)
    elif kind == "npz":
        from mantid_exp2sim.io import npz

        npz.write(histogram, file)
    elif kind == "horace":
        from mantid_exp2sim.io import horace

        horace.write(histogram, file)
    else:
        from mantid_exp2sim.io import mdhisto

        mdhisto.write(histogram, file)


def _kind(file: Path) -> str:
    """Tell the format from the first bytes; raise where nothing here reads it."""
    with reading(file), file.open("rb") as stream:
        head = stream.read(16)
        for offset in (512, 1024, 2048):  # HDF5 allows a user block before its signature
            stream.seek(offset)
            head = _HDF5 if stream.read(8) == _HDF5 else head
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    if head.startswith(_HDF5):
        return _hdf5_kind(file)
    if head[4:10] == b"horace":
        return "horace"
    if head.startswith(b"MATLAB"):
        return "matlab5"
    if ENDINGS.get(file.suffix.lower()) == "horace":
        raise Exp2SimError(
            f"{file} does not begin like a file of Horace version 2 or later.",
            reason="Files of Horace's prototype (versions 0 and 1) are not read.",
            fix="In Horace: save(read(sqw, 'old.sqw'), 'new.sqw').",
        )
    if file.suffix.lower() == ".mat":
        raise Exp2SimError(
            f"{file} is no MATLAB file of version 5 or later.",
            fix="In MATLAB: load it and save('spec.mat', '-v7', 'spec').",
        )
    raise Exp2SimError(
        f"{file} {'is of no known kind' if head else 'is empty'}.",
        reason="Read are Mantid MDHisto (.nxs), Horace (.sqw, .d1d …), SpinW (.mat), NXSPE, the published "
        ".npy arrays and this package's own .npz.",
        fix="Write the data in one of these.",
    )


def _hdf5_kind(file: Path) -> str:
    from mantid_exp2sim.io.hdf5 import opened

    with opened(file) as content:
        names = {name if isinstance(name, str) else repr(name) for name in content}
        is_nxspe = any(_is_nxspe(content, name) for name in list(content)[:64])
    if "MDHistoWorkspace" in names:
        return "mdhisto"
    if is_nxspe:
        return "nxspe"
    with file.open("rb") as stream:
        if stream.read(6) == b"MATLAB":
            return "matlab73"
    if "MDEventWorkspace" in names:
        raise Exp2SimError(
            f"{file} holds an MDEventWorkspace: events, not bins.",
            fix="In Mantid: BinMD or SliceMD first, then SaveMD.",
        )
    if "mantid_workspace_1" in names:
        raise Exp2SimError(
            f"{file} is a processed workspace of Mantid: spectra, not bins of momentum.",
            fix="In Mantid: SaveNXSPE, or ConvertToMD, BinMD and SaveMD.",
        )
    raise Exp2SimError(
        f"{file} is an HDF5 file without an MDHistoWorkspace.",
        reason=f"It holds {', '.join(sorted(names)[:5]) or 'nothing'}.",
        fix="Write the histogram with Mantid's SaveMD.",
    )


def _is_nxspe(file: Any, name: Any) -> bool:
    """Whether an entry holds the group that only NXSPE has; links out of the file are not followed."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return False
    group = file[name]
    return isinstance(group, h5py.Group) and "NXSPE_info" in group


def _with_mask(histogram: Histogram, mask: MaskLike | None) -> Histogram:
    if mask is None:
        return histogram
    from mantid_exp2sim.io.masks import read_mask, source, upright
    from mantid_exp2sim.mosaic import is_mosaic

    hidden, turned = read_mask(mask, histogram.shape), False
    if is_mosaic(histogram):
        hidden, turned = upright(hidden, histogram.intensity)
    metadata = {**histogram.metadata, "mask_source": source(turned)}
    return histogram.replace(mask=histogram.mask | hidden, metadata=metadata)


def _checked(histogram: Histogram, file: Path) -> Histogram:
    if bool(histogram.mask.all()):
        raise Exp2SimError(
            f"{file} has no measured bin.",
            reason="Every bin is masked or not a finite number.",
            fix="Look at the file, and at the mask if one was given.",
        )
    return histogram
