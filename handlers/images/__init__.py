"""Bytes to pixels: formats, decoding and preprocessing, the same in training and in serving."""
