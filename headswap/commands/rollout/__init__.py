"""Commands that change which version is live."""
