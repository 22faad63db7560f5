"""Build a model: simulate training sets, train the networks, evaluate them."""
