"""Constants of nature (CODATA 2018, rounded) in meV, Å⁻¹, m/s and mb; when incident energies are the same."""

ENERGY_PER_K2 = 2.0721
"""ħ²/2m of the neutron in meV Å²: E = 2.0721 k²."""
SPEED_PER_K = 629.62
"""ħ/m of the neutron in m/s per Å⁻¹: v = 629.62 k."""
GAMMA_R0_SQUARED = 290.6
"""(γ r₀)² in mb, of a moment with g = 2."""
BOHR_MAGNETON = 0.05788381806
"""μ_B in meV/T."""
BOLTZMANN = 0.0861733
"""k_B in meV/K."""
SAME_ENERGY = 0.01
"""Incident energies count as the same where they differ by less than this share."""
