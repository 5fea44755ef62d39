"""The code that travels in an archive and runs in a TorchServe worker: bytes, pixels, probabilities, a response."""
