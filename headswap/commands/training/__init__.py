"""Commands that turn a folder of photos into an evaluated run."""
