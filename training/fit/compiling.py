"""torch.compile, with a one-line error where it cannot work."""

import os
import shutil
from collections.abc import Callable

import torch

from training.errors import ConfigError

Forward = Callable[[torch.Tensor], torch.Tensor]
REASON_LENGTH_MAX = 200


def compile_forward(forward: Forward, device: torch.device) -> Forward:
    """Return the same function, compiled when it is first called.

    A trivial function is compiled at once, so that a missing or broken compiler fails before the run begins.

    Raises:
        ConfigError: there is no working compiler; from the returned function, it could not be compiled.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"--compile needs a C++ compiler, and {compiler!r} is not installed; "
            "install g++, or leave --compile out."
        )
    _with_short_error(torch.compile(torch.relu))(torch.zeros(2, device=device))
    return _with_short_error(torch.compile(forward))


def _with_short_error(compiled: Forward) -> Forward:
    # Importing it takes seconds, and only torch.compile needs it.
    from torch._dynamo.exc import TorchDynamoException

    def run(pixels: torch.Tensor) -> torch.Tensor:
        try:
            return compiled(pixels)
        except TorchDynamoException as error:
            raise ConfigError(
                f"--compile failed ({_reason(error)}); check that the C++ compiler works and Python's "
                "headers are installed, or leave --compile out."
            ) from None

    return run


def _reason(error: Exception) -> str:
    """Return the most informative of the many lines of a compiler error from PyTorch."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first one is the kind of error.
    error_lines = [line for line in lines[1:] if "error: " in line.lower()]
    return (error_lines or lines or [type(error).__name__])[0][:REASON_LENGTH_MAX]
