"""Talks to a TorchServe from outside: start, ready, predict, promote, roll back."""
