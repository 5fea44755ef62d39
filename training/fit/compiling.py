"""torch.compile, refused in one sentence where it cannot work."""

import os
import shutil
from collections.abc import Callable

import torch

from training.errors import ConfigError

Forward = Callable[[torch.Tensor], torch.Tensor]
REASON_LENGTH_MAX = 200


def compiled(forward: Forward, device: torch.device) -> Forward:
    """Return the same function, made faster the first time it is called.

    Something small is compiled at once: what the device cannot compile with fails before the run begins.

    Raises:
        ConfigError: there is no compiler that works; from the function returned, it could not compile.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"--compile needs a C++ compiler and {compiler!r} is not installed; "
            "install g++, or leave --compile out."
        )
    _explained(torch.compile(torch.relu))(torch.zeros(2, device=device))
    return _explained(torch.compile(forward))


def _explained(made: Forward) -> Forward:
    # Takes seconds, and only torch.compile needs it.
    from torch._dynamo.exc import TorchDynamoException

    def run(pixels: torch.Tensor) -> torch.Tensor:
        try:
            return made(pixels)
        except TorchDynamoException as error:
            raise ConfigError(
                f"--compile could not compile here ({_reason(error)}); see that the C++ compiler "
                "works and Python's headers are installed, or leave --compile out."
            ) from None

    return run


def _reason(error: Exception) -> str:
    """Return the line that says most of the many an error of PyTorch's compiler has."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first names the kind of error.
    telling = [line for line in lines[1:] if "error: " in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:REASON_LENGTH_MAX]
