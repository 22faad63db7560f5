"""Where networks run: the CPU, or a GPU that PyTorch knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mantid_exp2sim.errors import OptionError

if TYPE_CHECKING:
    import torch

CPU = "cpu"


def require_device(name: str) -> torch.device:
    """Return PyTorch's device of a name such as ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``.

    Raises
    ------
    OptionError
        If there is no such device, or PyTorch was built without it.

    Examples
    --------
    >>> require_device("cpu")
    device(type='cpu')
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise OptionError(
            f"There is no device {name!r} here.",
            reason=f"PyTorch {torch.__version__} sees {_devices()}.",
            fix="Leave the device out for the CPU, or install a PyTorch built for your GPU.",
            option="device",
        ) from error
    return device


def _devices() -> str:
    import torch

    others = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        others.append("mps")
    return ", ".join([CPU, *others])
