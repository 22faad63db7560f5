"""Train translators and classifiers."""
