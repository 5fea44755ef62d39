"""Photos to run folder to archive."""
