"""Unlabeled photos: what the labelled ones and their features tell about them."""
