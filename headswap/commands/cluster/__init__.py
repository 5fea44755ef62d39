"""Commands that serve archives on several machines."""
