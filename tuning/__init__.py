"""Finds the configuration with which this host serves an archive best, by measuring a TorchServe of its own."""
