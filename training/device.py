"""Where the network computes."""

import socket

import torch

from training.config import Device
from training.errors import ConfigError


def choose_device(wanted: Device, *, local_rank: int = 0) -> torch.device:
    """Return the device; auto is the GPU where there is one, a host's second process gets its second.

    Raises:
        ConfigError: a GPU is asked for where there is none, or none is left for this process.
    """
    gpu_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and gpu_count == 0):
        return torch.device("cpu")
    if gpu_count == 0:
        raise ConfigError(
            "--device cuda was given, but PyTorch finds no GPU here; use auto or cpu."
        )
    if local_rank >= gpu_count:
        raise ConfigError(
            f"torchrun started more processes on {socket.gethostname()} than it has GPUs "
            f"({gpu_count}); give --nproc-per-node {gpu_count}, or --device cpu."
        )
    return torch.device("cuda", local_rank)
