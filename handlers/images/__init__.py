"""Bytes to pixels: formats, decoding, preprocessing."""
