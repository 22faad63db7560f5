"""What makes one kind of data of another: a model, and the classical ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mantid_exp2sim.inference.deconvolution import choose_iterations, deconvolve_mosaics
from mantid_exp2sim.inference.intensity import level_factors
from mantid_exp2sim.inference.inversion import mean_with_inversion
from mantid_exp2sim.model.bundle import Bundle
from mantid_exp2sim.model.card import Direction
from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator
from mantid_exp2sim.training.datasets.spectra import Spectra

if TYPE_CHECKING:
    import torch

QUANTILE = 0.05
"""Of a panel's blurred intensities: what Richardson–Lucy may take for its background."""


def translated(model: Bundle, direction: Direction, x: torch.Tensor, spectra: Spectra) -> torch.Tensor:
    """Translate spectra (n, Ei, h, k, E) in physical units by the mean of a model's generators.

    0 where not measured; what `Model.deconvolve` and `Model.convolve` do.
    """
    import torch

    from mantid_exp2sim.training.trainers.validation import translate_volumes

    mask, scaling, members = spectra.mask, model.card.scaling, model.members(direction)
    level = torch.from_numpy(level_factors(model.card, x.numpy(), mask.numpy(), spectra.energies.numpy()))
    scaled = torch.where(mask, 0.0, scaling.forward(x * level))
    total = torch.zeros_like(x)
    for network in members:
        result = translate_volumes(network, scaled, mask, spectra.energies, model.card.layout)  # type: ignore[arg-type]
        total += scaling.inverse(result) / level / len(members)
    if "inversion" in model.card.symmetries:
        hidden = mask.expand(total.shape).flatten(0, 1).numpy()
        averaged = mean_with_inversion(total.flatten(0, 1).numpy(), hidden)
        total = torch.from_numpy(averaged).reshape(total.shape)
    return torch.where(mask, 0.0, total)


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
