"""Blocks of detector tubes on the cylinder around the sample. Lengths in m, angles in degrees."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict


class Bank(BaseModel):
    """A block of detector tubes on the cylinder around the sample.

    ``horizontal`` is the range of the scattering angle in the horizontal plane (degrees), ``height`` the
    range of z (m). In a ``horizontal`` tube the position is measured along y, in a ``vertical`` one along z.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizontal: tuple[float, float]
    height: tuple[float, float]
    tubes: Literal["vertical", "horizontal"] = "vertical"


def maps_banks() -> tuple[Bank, ...]:
    """Make the banks of MAPS, with the signs of the horizontal angles turned.

    So h of the published mosaic, whose gaps tell on which side the wide angles are, is along +y of the frame
    like that of any other sample here.
    """
    low = [(3.0, 11.14), (11.67, 19.81), (-11.14, -3.0), (-19.81, -11.67)]
    high = [(-29.79, -21.12), (-39.76, -31.10), (-49.74, -41.08), (-59.72, -51.06)]
    half_tube = 0.1313
    banks = [
        Bank(horizontal=(-b - half_tube, -a + half_tube), height=(-0.52, 0.52), tubes="vertical")
        for a, b in low + high
    ]
    # (|z| from, to, y from, to) in m; tubes are 0.0254 m wide and each block stands above and below the beam
    blocks = [(0.643, 1.321, -0.51, 0.52), (1.374, 2.033, -0.51, 0.52), (0.314, 0.506, -0.20, 0.20)]
    blocks += [
        (z0, z1, *y) for z0, z1 in ((0.643, 1.267), (1.321, 1.929)) for y in ((0.64, 2.0), (-2.0, -0.64))
    ]
    for z0, z1, y0, y1 in blocks:
        angles = (-float(np.degrees(np.arcsin(y1 / 6.0))), -float(np.degrees(np.arcsin(y0 / 6.0))))
        for low_edge, high_edge in ((z0 - 0.0127, z1 + 0.0127), (-z1 - 0.0127, -z0 + 0.0127)):
            banks.append(Bank(horizontal=angles, height=(low_edge, high_edge), tubes="horizontal"))
    return tuple(banks)
