"""A run packed into an archive that TorchServe serves."""
