"""Constants of nature, in the units of the package: meV, Å⁻¹, m/s, mb (CODATA 2018, rounded)."""

ENERGY_PER_K2 = 2.0721
"""ħ²/2m of the neutron in meV Å²: E = 2.0721 k²."""
SPEED_PER_K = 629.62
"""ħ/m of the neutron in m/s per Å⁻¹: v = 629.62 k."""
GAMMA_R0_SQUARED = 290.6
"""(γ r₀)² in mb, of a moment with g = 2."""
