"""The load generator, and the soak test that promotes versions under its load."""
