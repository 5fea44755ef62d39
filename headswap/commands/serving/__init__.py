"""Commands that run a server, query it and tune it."""
