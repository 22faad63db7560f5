"""Training sets: simulated, from files, and how samples are drawn from them."""
