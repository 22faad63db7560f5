"""A wider generator that starts as a narrower, trained one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    import torch
    from torch import nn


def grown(network: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights for ``network`` with which it computes what a narrower one of weights ``state`` computes.

    Channels that the narrower one has do not read the new ones yet; those keep the weights that they were
    initialised with, so that they have gradients from the first step. Source: function-preserving
    widening, Chen, Goodfellow and Shlens, ICLR 2016.

    Raises
    ------
    Exp2SimError
        If the two differ in more than the width, or the trained one is the wider one.

    Examples
    --------
    >>> import torch
    >>> from mantid_exp2sim.networks.generator import CompactGenerator
    >>> nets = [CompactGenerator(1, in_channels=2, out_channels=1, width=w, blocks=1) for w in (4, 8)]
    >>> _ = nets[1].load_state_dict(grown(nets[1], nets[0].state_dict()))
    >>> x = torch.zeros(1, 2, 9)
    >>> x[:, 0] = torch.rand(9)
    >>> torch.allclose(nets[0](x), nets[1](x), atol=1e-6)
    True
    """
    made = {name: value.clone() for name, value in network.state_dict().items()}
    if made.keys() != state.keys() or any(
        len(made[name].shape) != len(old.shape)
        or any(a < b for a, b in zip(made[name].shape, old.shape, strict=True))
        for name, old in state.items()
    ):
        raise Exp2SimError(
            "The generators of the run to start from are no narrower form of the recipe's.",
            fix="Give the recipe as many blocks as that run has, and at least its width.",
        )
    for name, old in state.items():
        new = made[name]
        if old.ndim > 1:
            new[: old.shape[0], old.shape[1] :] = 0
            new[: old.shape[0], : old.shape[1]] = old
        else:
            new[: old.shape[0]] = old
    return made


def load_grown(checkpoint: Path, networks: Mapping[str, nn.Module]) -> None:
    """Put a run's generators, and their averages, into wider ones; all else begins anew.

    ``networks`` are those of a dual GAN by their names in a checkpoint. Raises `Exp2SimError` as
    :func:`grown`, or where the checkpoint cannot be read.
    """
    from mantid_exp2sim.training.trainers.checkpoint import network_tensors, read_tensors

    tensors, _ = read_tensors(checkpoint)
    for name, network in networks.items():
        if name.startswith(("generator.", "average.")):
            network.load_state_dict(grown(network, network_tensors(tensors, name)))
