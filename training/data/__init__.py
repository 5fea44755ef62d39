"""Photos for training: found, checked, split, decoded and augmented."""
