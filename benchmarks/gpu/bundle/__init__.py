"""Packs what a GPU host without a network needs for the check: `python -m benchmarks.gpu.bundle` (make gpu-bundle)."""
