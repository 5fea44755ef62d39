"""What only a GPU can show, in one run of at most nine minutes: `python -m benchmarks.gpu_check`."""
