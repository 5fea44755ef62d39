"""Every figure of the README has its script here: ratios of things run in turn on the same machine."""
