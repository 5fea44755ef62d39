"""Runs the command line: `headswap`, `python -m headswap`, and torchrun's `-m headswap`."""

import sys

try:
    from headswap.cli import main
except ModuleNotFoundError as error:
    # `pip install headswap` brings what the Python client needs; the command line needs more.
    sys.exit(
        f"headswap: the package {error.name!r} is not installed; the command line needs headswap[host]: "
        "pip install 'headswap[host]'."
    )

if __name__ == "__main__":
    sys.exit(main())
