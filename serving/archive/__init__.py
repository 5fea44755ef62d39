"""Archives as files: read, checked, signed, repacked; never run."""
