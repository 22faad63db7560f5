"""A trained model on disk: card, weights, layout, scaling, error model."""
