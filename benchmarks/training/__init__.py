"""Training: the speed of an epoch, the gain from options, the memory of a long run."""
