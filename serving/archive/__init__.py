"""Archives as files: read, checked, signed and repacked, never run."""
