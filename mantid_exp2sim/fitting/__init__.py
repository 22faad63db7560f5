"""From a measurement to the constants of a Hamiltonian: fits of models, convolved with the resolution."""
