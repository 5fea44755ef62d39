"""The command line and the public client; the only package that may import all others."""
