"""Pixels to probabilities: the network and what computes it on a CPU or a GPU."""
