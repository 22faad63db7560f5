"""The steps that led to a histogram, kept in its metadata: enough to repeat them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mantid_exp2sim.histogram.history import software_version

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.model.bundle import Bundle


def history_entry(bundle: Bundle, command: str, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """Describe a step of a model, in JSON."""
    return {
        "command": command,
        "model": bundle.card.name,
        "model_version": bundle.card.version,
        "checksum": bundle.checksum,
        "seed": seed,
        "options": options,
        "software": software_version(),
    }


def history_of(histogram: Histogram) -> list[dict[str, Any]]:
    """Return the steps in a histogram's metadata, the first one first; what is no step is left out."""
    history = histogram.metadata.get("history")
    return [step for step in history if isinstance(step, dict)] if isinstance(history, list) else []
