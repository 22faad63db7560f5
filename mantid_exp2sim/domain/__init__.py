"""Ask whether data lie in the domain of application of a model."""
