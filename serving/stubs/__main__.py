"""python -m serving.stubs: generate the gRPC stubs, once, at installation."""

import sys

from serving.errors import ServingError
from serving.stubs.generate import generate

if __name__ == "__main__":
    try:
        sys.stdout.write(f"{generate()}\n")
    except ServingError as error:
        sys.exit(f"headswap: {error}")
