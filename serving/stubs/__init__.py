"""TorchServe's gRPC messages and calls, generated from the .proto files in its jar if they are missing."""

import importlib
from types import ModuleType
from typing import Literal

from serving.stubs.generate import generate, is_generated

__all__ = ["generate", "load"]


def load(api: Literal["inference", "management"]) -> tuple[ModuleType, ModuleType]:
    """Return the modules of one of TorchServe's two APIs: its messages, and its calls.

    Raises:
        StubsError: they are missing and cannot be generated.
    """
    if not is_generated():
        generate()
    names = (f"{api}_pb2", f"{api}_pb2_grpc")
    messages, calls = (importlib.import_module(f"serving.stubs.generated.{name}") for name in names)
    return messages, calls
