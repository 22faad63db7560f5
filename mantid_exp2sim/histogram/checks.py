"""What a histogram is made of, checked and made read-only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mantid_exp2sim.errors import Exp2SimError


def masked_copy(values: Any, mask: Any, what: str) -> Any:
    """Read-only, and NaN under the mask where the shapes agree (which is checked later)."""
    array = frozen_copy(values, np.float64, what)
    if array.shape == mask.shape and not np.all(np.isnan(array) | ~mask):
        array = np.array(array) if array is values else array
        array.flags.writeable = True
        array[mask] = np.nan
        array.flags.writeable = False
    return array


def frozen_copy(values: Any, dtype: Any, what: str) -> Any:
    """Return a read-only array; one that owns its memory and is read-only already is taken as it is."""
    if (
        isinstance(values, np.ndarray)
        and values.dtype == dtype
        and values.base is None
        and values.flags.c_contiguous
        and not values.flags.writeable
    ):
        return values
    try:
        array = np.array(values, dtype=dtype, order="C", copy=True)
    except (TypeError, ValueError) as error:
        raise Exp2SimError(f"{what} cannot be read as numbers: {error}.", fix="Give numbers.") from error
    array.flags.writeable = False
    return array


def checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of metadata that can be written as JSON; refuse others."""
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Exp2SimError(
            f"The metadata cannot be written as JSON: {error}.",
            fix="Use text, finite numbers, lists and dicts of these.",
        ) from error
    return dict(metadata)
