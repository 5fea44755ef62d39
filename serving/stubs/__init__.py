"""TorchServe's gRPC messages and calls, made from its own jar when they are not there yet."""

import importlib
from types import ModuleType
from typing import Literal

from serving.stubs.generate import generate, is_generated
from serving.torchserve import torchserve_jar

__all__ = ["generate", "load", "torchserve_jar"]


def load(api: Literal["inference", "management"]) -> tuple[ModuleType, ModuleType]:
    """Return the messages and the calls of one of TorchServe's two APIs.

    Raises:
        StubsError: they are missing and cannot be made.
    """
    if not is_generated():
        generate()
    names = (f"{api}_pb2", f"{api}_pb2_grpc")
    messages, calls = (importlib.import_module(f"serving.stubs.generated.{name}") for name in names)
    return messages, calls
