"""Run a model on data: volumes, sliding window, translation, classification."""
