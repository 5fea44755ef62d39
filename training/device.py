"""Where the network computes."""

import torch

from training.config import Device
from training.errors import ConfigError


def choose_device(wanted: Device) -> torch.device:
    """Return the device; auto is the GPU where there is one.

    Raises:
        ConfigError: a GPU was asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise ConfigError(
            "--device cuda was given, but PyTorch finds no GPU here; use auto or cpu."
        )
    return torch.device("cuda" if has_gpu and wanted != "cpu" else "cpu")
