"""Pixels to probabilities: the network, and the engines that compute it on a CPU or a GPU."""
