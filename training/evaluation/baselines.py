"""What makes one kind of data of another: a model, a training run, and the classical ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.inference.deconvolution import choose_iterations, deconvolve_mosaics
from mantid_exp2sim.model.bundle import Bundle, open_bundle
from mantid_exp2sim.model.registry import CARD_FILE
from mantid_exp2sim.model.scaling import Scaling
from mantid_exp2sim.networks.layout import Layout
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.training.datasets.spectra import Spectra

if TYPE_CHECKING:
    import torch
    from torch import nn

DIRECTIONS = ("deconvolve", "convolve")
QUANTILE = 0.05
"""Of a panel's blurred intensities: what Richardson–Lucy may take for its background."""


class Memory:
    """What networks made of the inputs of a batch, so that one which several translators hold runs once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], tuple[torch.Tensor, torch.Tensor]] = {}
        self._weights: dict[int, tuple[nn.Module, str]] = {}

    def of(
        self, network: nn.Module, how: str, x: torch.Tensor, make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """``make()``, or what a network of these weights made of this ``x`` in the same way (``how``)."""
        if id(network) not in self._weights:
            self._weights[id(network)] = network, _fingerprint(network)
        key = f"{how} {self._weights[id(network)][1]}", id(x)
        if key not in self._made:
            self._made[key] = x, make()
        return self._made[key][1]

    def clear(self) -> None:
        """Forget the results."""
        self._made.clear()


def _fingerprint(network: nn.Module) -> str:
    digest = sha256(repr(network).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Translator:
    """The generators of both directions, several of one for an ensemble: the result is their mean."""

    networks: Mapping[str, Sequence[nn.Module]]
    scaling: Scaling
    layout: Layout
    memory: Memory | None = None

    def __call__(self, direction: str, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
        """Physical units in and out, (n, Ei, h, k, E), 0 where not measured: what `Model.deconvolve` does."""
        import torch

        from mantid_exp2sim.training.trainers.validation import translate_volumes

        mask, scaled = spectra.mask, self.scaling.forward(x)
        scaled = torch.where(mask, 0.0, scaled)
        members: Sequence[Any] = self.networks[direction]
        total = torch.zeros_like(x)
        for network in members:

            def make(network: Any = network) -> torch.Tensor:
                scaled_result = translate_volumes(network, scaled, mask, spectra.energies, self.layout)
                return self.scaling.inverse(scaled_result)

            how = f"{direction} {self.scaling!r} {self.layout!r}"
            result = make() if self.memory is None else self.memory.of(network, how, x, make)
            total += result / len(members)
        return torch.where(mask, 0.0, total)

    def identity(self, x: torch.Tensor) -> torch.Tensor:
        """The same way in and out without the networks."""
        return self.scaling.inverse(self.scaling.forward(x))

    def parameters(self) -> int:
        """Of one generator."""
        return sum(p.numel() for p in self.networks["deconvolve"][0].parameters())


def model_translator(model: Bundle, memory: Memory | None = None) -> Translator:
    """The generators of a model."""
    networks = {"deconvolve": model.members("deconvolve"), "convolve": model.members("convolve")}
    return Translator(networks, model.card.scaling, model.card.layout, memory)


def open_translator(path: str | Path, memory: Memory | None = None) -> Translator:
    """The generators of a model (by name or folder) or of a training run (its folder)."""
    folder = Path(path)
    if not folder.is_dir() or (folder / CARD_FILE).is_file():
        return model_translator(open_bundle(path), memory)
    from mantid_exp2sim.training.trainers.trained import load_generator

    networks = {}
    for direction in DIRECTIONS:
        network, model = load_generator(folder, direction)
        networks[direction] = [network.eval()]
    return Translator(networks, model.scaling, model.layout, memory)


@dataclass(frozen=True, slots=True)
class Classical:
    """How often Richardson–Lucy iterates, and whether a background is taken off first."""

    iterations: int
    subtract: bool


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What a known resolution alone can do: Richardson–Lucy, and the resolution itself."""

    operator: ResolutionOperator
    settings: Mapping[str, Classical]
    """By the source, ``convolved`` or ``measured``."""

    def deconvolve(self, source: str, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
        """Richardson–Lucy."""
        how = self.settings[source]
        noise = spectra.noise.counting[1] if source == "measured" else 0.0
        data = _without_background(self.operator, x, spectra) if how.subtract else x
        return deconvolve_mosaics(
            self.operator, data, spectra.energies, spectra.mask, iterations=how.iterations, noise=noise
        )

    def convolve(self, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
        """R x."""
        return blur(self.operator, x, spectra)


def blur(operator: ResolutionOperator, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
    """The known resolution of mosaics (n, Ei, h, k, E)."""
    import torch

    with torch.inference_mode():
        resolution = operator.at(spectra.energies, spectra.mask)
        return torch.stack([resolution.blur(spectrum) for spectrum in x])


def _without_background(operator: ResolutionOperator, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
    """Less a constant of each panel: a low quantile of its blurred, and so less noisy, intensities."""
    import torch

    blurred = torch.where(spectra.mask, torch.nan, blur(operator, x, spectra))
    panels = blurred.permute(0, 1, 4, 2, 3).flatten(3)
    floor = panels.nanquantile(QUANTILE, dim=3).nan_to_num().clamp_min(0)
    return torch.where(spectra.mask, 0.0, x - floor[:, :, None, None, :])


def choose_baseline(operator: ResolutionOperator, validation: Spectra) -> Baseline:
    """The baseline with the least mean relative L2 on validation spectra, for each source."""
    import torch

    batches = list(validation.batches())
    truth = torch.cat([batch.target for batch in batches])
    settings = {}
    for source, noise in (("convolved", 0.0), ("measured", validation.noise.counting[1])):
        x = torch.cat([batch.source(source) for batch in batches])
        figures = {}
        for subtract in (False, True) if source == "measured" else (False,):
            data = _without_background(operator, x, validation) if subtract else x
            iterations, error = choose_iterations(
                operator, data, truth, validation.energies, validation.mask, noise=noise
            )
            figures[error] = Classical(iterations, subtract)
        settings[source] = figures[min(figures)]
    return Baseline(operator, settings)
