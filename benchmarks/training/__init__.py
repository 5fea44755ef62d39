"""Training: how fast an epoch is, what options are worth, what a long run holds in memory."""
