"""What the Mantid algorithms stand on."""
