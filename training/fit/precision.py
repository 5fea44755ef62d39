"""In which floating-point format the network learns. Weights, and all judging, stay float32."""

from pathlib import Path

import torch

from training.config import Precision
from training.errors import ConfigError

CPU_FLAGS = Path("/proc/cpuinfo")
# x86's two and ARM's one; anywhere else bfloat16 is emulated, slower than float32.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """Return the format. auto is bfloat16 where the device computes with it, on older GPUs float16.

    Raises:
        ConfigError: the device cannot compute with what was asked for.
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        fitting = torch.bfloat16 if has_bfloat16 else torch.float16
    else:
        has_bfloat16 = cpu_has_bfloat16()
        fitting = torch.bfloat16 if has_bfloat16 else torch.float32
    if wanted == "auto":
        return fitting
    if wanted == "bfloat16" and not has_bfloat16:
        raise ConfigError(
            f"--precision bfloat16 was given, but this {device.type} does not compute with it; "
            "use auto, or leave it out."
        )
    if wanted == "float16" and device.type != "cuda":
        raise ConfigError(
            "--precision float16 was given, but only GPUs compute with it; use auto, or leave it out."
        )
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]


def make_autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def make_scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Return what keeps float16's small gradients from becoming 0; in other formats it does nothing.

    Micikevicius et al., Mixed Precision Training, 2018.
    """
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)


def cpu_has_bfloat16() -> bool:
    """Say whether the processor has instructions for bfloat16; False where that cannot be read."""
    try:
        lines = CPU_FLAGS.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not BFLOAT16_FLAGS.isdisjoint(flags.split())
