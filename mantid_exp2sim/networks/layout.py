"""How (h, k, E) volumes become the tensors a network takes, and back. Written on a model's card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

AXES: tuple[Literal["h"], Literal["k"], Literal["energy"]] = ("h", "k", "energy")
"""The axes of a volume after the batch axis, in this order."""

REFERENCE_ENERGY = 50.0
"""Incident energy (meV) at which the incident-energy plane is zero."""


class Layout(BaseModel):
    """The tensor layout of a model: which axes a network slides over, which are channels, which are batch.

    ========= ============ ==================================== =====================
    dimension energy       network sees                         folded into the batch
    ========= ============ ==================================== =====================
    3         ``axis``     (B, 1, h, k, E)                      nothing
    2         ``channels`` (B, E, h, k)                         nothing
    2         ``separate`` (B·E, 1, h, k)                       E
    2         ``axis``     (B·k, 1, h, E)                       k
    1         ``axis``     (B·h·k, 1, E)                        h, k
    1         ``channels`` (B·k, E, h)                          k
    1         ``separate`` (B·k·E, 1, h)                        k, E
    ========= ============ ==================================== =====================

    A network's input is the C intensity channels (scaled, 0 where not measured), then C mask channels
    (1 = not measured), then, with ``incident_energy``, a constant plane log(Ei / 50 meV). Its output is the
    C intensity channels.

    >>> layout = Layout(dimension=2, energy="channels", windows=10)
    >>> layout.in_channels, layout.out_channels, layout.spatial
    (21, 10, ('h', 'k'))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: Literal[1, 2, 3] = 2
    energy: Literal["channels", "axis", "separate"] = "channels"
    windows: int = Field(default=1, ge=1, le=512)
    """Number of energy bins where they are the channels, else 1."""
    incident_energy: bool = True
    """Whether the network is told the incident energy by an extra constant plane."""

    @model_validator(mode="after")
    def _consistent(self) -> Layout:
        if self.dimension == 3 and self.energy != "axis":
            raise ValueError("a layout of dimension 3 needs energy='axis'")
        if self.energy != "channels" and self.windows != 1:
            raise ValueError("windows is the number of energy channels: it is 1 unless energy='channels'")
        return self

    @property
    def channels(self) -> int:
        """C, the number of intensity channels."""
        return self.windows if self.energy == "channels" else 1

    @property
    def in_channels(self) -> int:
        """Channels of a network's input: intensity, mask and, if used, the incident energy."""
        return 2 * self.channels + int(self.incident_energy)

    @property
    def out_channels(self) -> int:
        """Channels of a network's output."""
        return self.channels

    @property
    def spatial(self) -> tuple[str, ...]:
        """The axes the network slides over, in the order of its tensors."""
        with_energy = {1: ("energy",), 2: ("h", "energy"), 3: AXES}
        return with_energy[self.dimension] if self.energy == "axis" else ("h", "k")[: self.dimension]

    @property
    def folded(self) -> tuple[str, ...]:
        """The axes whose every bin is a sample of its own."""
        return tuple(a for a in AXES if a not in self.spatial and not (a == "energy" and self._as_channels))

    @property
    def takes_k_for_h(self) -> bool:
        """Whether a network that slides over h may be given k in its place, since each k is a sample.

        >>> Layout(dimension=1, energy="separate").takes_k_for_h, Layout(windows=10).takes_k_for_h
        (True, False)
        """
        return self.spatial[0] == "h" and "k" in self.folded

    @property
    def _as_channels(self) -> bool:
        return self.energy == "channels"

    def _order(self) -> list[int]:
        """Positions in (B, h, k, E) of: batch, folded axes, channels (if any), spatial axes."""
        middle = ("energy",) if self._as_channels else ()
        return [0, *(1 + AXES.index(name) for name in (*self.folded, *middle, *self.spatial))]

    def fold(self, volumes: torch.Tensor) -> torch.Tensor:
        """(B, h, k, E) to (B', C, *spatial), any dtype, without mask or energy planes.

        >>> import torch
        >>> Layout(dimension=2, energy="separate").fold(torch.zeros(3, 8, 9, 5)).shape
        torch.Size([15, 1, 8, 9])
        """
        if volumes.ndim != 4 or (self._as_channels and volumes.shape[3] != self.channels):
            energies = self.channels if self._as_channels else "E"
            raise ValueError(f"expected a tensor (B, h, k, {energies}), got {tuple(volumes.shape)}")
        spatial = [volumes.shape[1 + AXES.index(name)] for name in self.spatial]
        return volumes.permute(self._order()).reshape(-1, self.channels, *spatial)

    def stack(self, x: torch.Tensor, mask: torch.Tensor, ei: torch.Tensor) -> torch.Tensor:
        """Network input from scaled volumes.

        ``x`` (B, h, k, E) float, scaled, 0 where not measured; ``mask`` the same shape, 1 = not measured;
        ``ei`` (B,) incident energy in meV. Gives (B', in_channels, *spatial) of the dtype of ``x``.

        >>> import torch
        >>> x = torch.zeros(6, 40, 40, 10)
        >>> Layout(windows=10).stack(x, x, torch.full((6,), 25.0)).shape
        torch.Size([6, 21, 40, 40])
        """
        import torch

        planes = [self.fold(x), self.fold(mask.to(x.dtype))]
        if self.incident_energy:
            level = torch.log(ei.to(x) / REFERENCE_ENERGY)
            like = planes[0][:, :1]
            repeated = level.repeat_interleave(like.shape[0] // x.shape[0])
            planes.append(repeated.reshape(-1, *[1] * (like.ndim - 1)).expand_as(like))
        return torch.cat(planes, dim=1)

    def unstack(self, y: torch.Tensor, shape: Sequence[int] | None = None) -> torch.Tensor:
        """Network output (B', C, *spatial) back to (B, h, k, E): the inverse of :meth:`fold`.

        ``shape`` is the (B, h, k, E) wanted; it may be left out where no axis is folded into the batch.

        >>> import torch
        >>> layout, x = Layout(dimension=2, energy="axis"), torch.rand(2, 4, 3, 5)
        >>> bool((layout.unstack(layout.fold(x), x.shape) == x).all())
        True
        """
        sizes = self._sizes(y, shape)
        order = self._order()
        opened = y.reshape([sizes[position] for position in order])
        return opened.permute([order.index(position) for position in range(4)])

    def _sizes(self, y: torch.Tensor, shape: Sequence[int] | None) -> list[int]:
        if shape is not None:
            return [int(size) for size in shape]
        if self.folded:
            raise ValueError(
                f"unstack needs the shape (B, h, k, E): {', '.join(self.folded)} are in the batch"
            )
        named = dict(zip(self.spatial, y.shape[2:], strict=True))
        return [y.shape[0], *(int(named.get(name, self.channels)) for name in AXES)]
