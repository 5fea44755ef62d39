"""Photos: found, checked, split, decoded and augmented."""
