"""Finds how this host serves an archive best: starts its own TorchServe, tries settings, measures."""
