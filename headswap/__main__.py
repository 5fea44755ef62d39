"""Runs the command line: `python -m headswap`, and torchrun's `-m headswap`."""

import sys

from headswap.cli import main

if __name__ == "__main__":
    sys.exit(main())
