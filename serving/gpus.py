"""Which GPUs the server may use, in a form that TorchServe's frontend understands.

CUDA_VISIBLE_DEVICES may name GPUs by number, by UUID or as MIG instances; clusters hand out UUIDs. TorchServe only
reads numbers: it exits on a name or a space, counts `-1` as a GPU, and takes an empty value for all GPUs. So the
frontend gets consecutive numbers, and the workers, where CUDA itself reads the variable, get the names back
(handlers/entry.py) from a variable of our own.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from serving.errors import GpuNameError

VISIBLE = "CUDA_VISIBLE_DEVICES"
NAMES_FOR_WORKERS = "HEADSWAP_CUDA_VISIBLE_DEVICES"
NAME_PREFIXES = ("GPU-", "MIG-")
# While its driver is being reset, nvidia-smi answers after seconds or not at all.
LIST_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class VisibleGpus:
    environment: Mapping[str, str]
    """Variables to add to Java's environment."""
    number_of_gpu: int | None
    """For config.properties; None, because the variable is not set, leaves the counting to TorchServe."""


def read_visible_gpus(environment: Mapping[str, str]) -> VisibleGpus:
    """Return what TorchServe must be given so that it uses the GPUs that `environment` makes visible.

    Raises:
        GpuNameError: an entry is neither a number nor the UUID of a GPU or a MIG instance, or there are two instances.
    """
    value = environment.get(VISIBLE)
    if value is None:
        return VisibleGpus(environment={}, number_of_gpu=None)
    names = _until_first_absent([name.strip() for name in value.split(",")])
    for name in names:
        _check(name, value)
    numbers = ",".join(str(number) for number in range(len(names)))
    if all(name.isdecimal() for name in names):
        return VisibleGpus(environment={VISIBLE: ",".join(names)}, number_of_gpu=len(names))
    if len(names) > 1 and any(name.startswith("MIG-") for name in names):
        raise GpuNameError(
            f"{VISIBLE}={value} names {len(names)} devices, but CUDA lets a process use a "
            "single MIG instance. Start one server per instance, each with one name in the variable."
        )
    return VisibleGpus(
        environment={VISIBLE: numbers, NAMES_FOR_WORKERS: ",".join(names)},
        number_of_gpu=len(names),
    )


def count_gpus(environment: Mapping[str, str]) -> int:
    """Return how many GPUs the server may use: the visible ones, else all that `nvidia-smi` lists.

    A GPU divided into MIG instances counts once. Without `nvidia-smi`, or if it fails, there are none, as for
    TorchServe's frontend.

    Raises:
        GpuNameError: as in `read_visible_gpus`.
    """
    visible = read_visible_gpus(environment).number_of_gpu
    if visible is not None:
        return visible
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return 0
    try:
        listing = subprocess.run(
            [program, "--list-gpus"],
            capture_output=True,
            text=True,
            timeout=LIST_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def _until_first_absent(names: list[str]) -> list[str]:
    # CUDA's own rule: -1, or an empty entry, hides itself and every entry after it.
    for index, name in enumerate(names):
        if name in ("", "-1", "NoDevFiles"):
            return names[:index]
    return names


def _check(name: str, value: str) -> None:
    if not (name.isascii() and name.isdecimal()) and not name.startswith(NAME_PREFIXES):
        raise GpuNameError(
            f"{VISIBLE}={value}: {name!r} is not a GPU. Give numbers (0,1), UUIDs (GPU-...) or "
            "MIG instances (MIG-...), as nvidia-smi -L lists them."
        )
