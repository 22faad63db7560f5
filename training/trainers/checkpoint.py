"""Checkpoints: one safetensors file with every tensor of a run and, in its header, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.storage.atomic import atomic_path

if TYPE_CHECKING:
    import torch
    from torch import nn

NETWORK, OPTIMISER = "network", "optimiser"


def save_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Write networks, optimisers and a JSON-able state to one file, which is whole or not there.

    Random numbers need no place here: every step draws from (seed, step).
    """
    tensors = {
        f"{NETWORK}/{name}/{key}": tensor
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    for name, optimiser in optimisers.items():
        for number, values in optimiser.state_dict()["state"].items():
            for key, value in values.items():
                if value is not None:
                    tensors[f"{OPTIMISER}/{name}/{number}/{key}"] = value
    write_tensors(path, tensors, state)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able state to a safetensors file; the same ones give the same bytes."""
    from safetensors.torch import save_file

    plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        # one entry alone: the order of several is not kept
        save_file(plain, temporary, metadata={"state": json.dumps(state)})


def load_checkpoint(
    path: Path, networks: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer]
) -> dict[str, Any]:
    """Put a checkpoint back into networks and optimisers of the same recipe; gives back the state.

    Raises `Exp2SimError` if the file cannot be read or belongs to other networks.
    """
    tensors, state = read_tensors(path)
    try:
        for name, network in networks.items():
            network.load_state_dict(network_tensors(tensors, name))
        for name, optimiser in optimisers.items():
            _restore(optimiser, _below(tensors, f"{OPTIMISER}/{name}/"))
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Exp2SimError(
            f"The checkpoint {path} does not belong to this recipe.",
            reason=f"{error}.",
            fix="Give the recipe the networks of that run, or start from another one.",
        ) from error
    return state


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and state of a file that :func:`write_tensors` wrote; it takes no more memory than the file."""
    from safetensors import safe_open

    try:
        if not path.is_file():
            raise Exp2SimError(f"There is no file {path}.", fix="Start the run anew.")
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(json.loads((file.metadata() or {})["state"]))
    except Exp2SimError:
        raise
    except Exception as error:  # whatever the parsers make of a damaged file
        raise Exp2SimError(f"Cannot read {path}: {error}.", fix="Start the run anew.") from error


def network_tensors(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The weights of one network among the tensors of a checkpoint, by their names in it."""
    return _below(tensors, f"{NETWORK}/{name}/")


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _restore(optimiser: torch.optim.Optimizer, flat: Mapping[str, torch.Tensor]) -> None:
    import torch

    whole = optimiser.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for key, tensor in flat.items():
        number, _, name = key.partition("/")
        parameter = parameters[int(number)]
        shape = parameter.shape
        if tensor.ndim > 0 and tensor.shape != shape:
            raise ValueError(
                f"{name} of parameter {number} has shape {tuple(tensor.shape)}, not {tuple(shape)}"
            )
        # fused optimisers take it for granted that this lies in memory as the parameter does
        like = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor) if tensor.ndim > 0 else tensor
        state.setdefault(int(number), {})[name] = like
    optimiser.load_state_dict({**whole, "state": state})
