"""TorchServe's gRPC messages and calls, made from its own jar when they are not there yet."""

import importlib
from types import ModuleType

from serving.stubs.generate import generate, is_generated
from serving.torchserve import torchserve_jar

__all__ = ["generate", "load", "torchserve_jar"]


def load() -> tuple[ModuleType, ModuleType]:
    """Return the messages and the calls of the inference API.

    Raises:
        StubsError: they are missing and cannot be made.
    """
    if not is_generated():
        generate()
    names = ("inference_pb2", "inference_pb2_grpc")
    messages, calls = (importlib.import_module(f"serving.stubs.generated.{name}") for name in names)
    return messages, calls
