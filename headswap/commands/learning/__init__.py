"""Commands by which a served model learns from what it serves."""
