"""Make up excitations, magnets and controls that belong to no class."""
