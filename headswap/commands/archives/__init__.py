"""Commands that make archives, change their settings and sign them."""
