"""Small models and data."""

from tests.helpers.small_models import (
    bundle_copy,
    cut,
    free_volume,
    make_model,
    model,
    models_folder,
    picture,
    volume,
)

__all__ = ["bundle_copy", "cut", "free_volume", "make_model", "model", "models_folder", "picture", "volume"]
