"""The floating-point format that training computes in. Weights and validation stay float32."""

from pathlib import Path

import torch

from training.config import Precision
from training.errors import ConfigError

CPU_FLAGS = Path("/proc/cpuinfo")
# Two of x86 and one of ARM; anywhere else bfloat16 is emulated, and slower than float32.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """Return the format to compute in; `auto` is float32 on a CPU, on a GPU bfloat16, or float16 where it has no other.

    On a CPU with bfloat16's instructions, but without AMX, a step in it took 1.7 to 2.2 times as long as in float32
    (python -m benchmarks.training.precision).

    Raises:
        ConfigError: the device does not support the format.
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        default = torch.bfloat16 if has_bfloat16 else torch.float16
    else:
        has_bfloat16 = cpu_has_bfloat16()
        default = torch.float32
    if wanted == "auto":
        return default
    if wanted == "bfloat16" and not has_bfloat16:
        raise ConfigError(
            f"--precision bfloat16 is not supported by this {device.type}; use auto, or leave it out."
        )
    if wanted == "float16" and device.type != "cuda":
        raise ConfigError(
            "--precision float16 is supported by GPUs only; use auto, or leave it out."
        )
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]


def make_autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return the context to run the forward pass in; for float32 it does nothing."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def make_scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Return the loss scaler that keeps float16's small gradients from underflowing; for other formats it does nothing.

    Micikevicius et al., Mixed Precision Training, 2018.
    """
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)


def cpu_has_bfloat16() -> bool:
    """Say whether the processor has instructions for bfloat16; False where /proc/cpuinfo cannot be read."""
    try:
        lines = CPU_FLAGS.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not BFLOAT16_FLAGS.isdisjoint(flags.split())
