"""torch.compile, refused in one sentence where it cannot work."""

import os
import shutil
from collections.abc import Callable

import torch

from training.errors import ConfigError

Forward = Callable[[torch.Tensor], torch.Tensor]


def compiled(forward: Forward) -> Forward:
    """Return the same function, made faster the first time it is called.

    Raises:
        ConfigError: there is no C++ compiler, which PyTorch needs for it.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"--compile needs a C++ compiler and {compiler!r} is not installed; "
            "install g++, or leave --compile out."
        )
    made: Forward = torch.compile(forward)
    return made
