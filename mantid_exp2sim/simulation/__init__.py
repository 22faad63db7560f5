"""From a Hamiltonian to pairs of histograms: spin waves, resolution, coverage and noise."""
