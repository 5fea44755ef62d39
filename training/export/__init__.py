"""Export: a run becomes an archive that TorchServe serves."""
