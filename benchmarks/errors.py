"""BenchmarkError: one sentence about what is missing or failed, and what to do."""


class BenchmarkError(Exception):
    pass
