"""File formats, chosen by content."""
