"""Requests read and answers written: raw bytes, forms, KServe v1 and Open Inference v2."""
