"""Fit what a model says of its own errors and of its domain of application."""
