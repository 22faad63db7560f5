"""A world to train in that belongs to no material: random magnets, instruments and bins."""
