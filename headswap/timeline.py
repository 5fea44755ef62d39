"""Prints what a promotion does, each step with the seconds since the first."""

import time

from headswap.output import stderr


class Timeline:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, sentence: str) -> None:
        stderr.print(f"{time.monotonic() - self._began:6.2f} s  {sentence}")
