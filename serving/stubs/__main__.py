"""python -m serving.stubs: make the gRPC stubs, at set-up."""

import sys

from serving.errors import StubsError
from serving.stubs.generate import generate

if __name__ == "__main__":
    try:
        sys.stdout.write(f"{generate()}\n")
    except StubsError as error:
        sys.exit(f"headswap: {error}")
