"""Which GPUs the server may use, said so that TorchServe's frontend understands it.

CUDA_VISIBLE_DEVICES may name GPUs by number, by UUID or as slices (MIG); clusters hand out UUIDs.
TorchServe reads numbers alone: it exits on a name or a space, counts `-1` as a GPU, and takes an
empty value for all of them. So the frontend gets numbers that count what is there, and the workers,
where CUDA itself reads it, get the names back (handlers/entry.py) from a variable of our own.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

VISIBLE = "CUDA_VISIBLE_DEVICES"
NAMES_FOR_WORKERS = "HEADSWAP_CUDA_VISIBLE_DEVICES"
NAME_PREFIXES = ("GPU-", "MIG-")
# A driver that is being reset answers after seconds or not at all.
LIST_TIMEOUT_S = 20.0


class GpuNameError(Exception):
    """CUDA_VISIBLE_DEVICES cannot be served from; exit code 2: the user set it."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class VisibleGpus:
    environment: Mapping[str, str]
    """What to set for Java on top of its environment."""
    number_of_gpu: int | None
    """For config.properties; None leaves the counting to TorchServe, because nothing was said."""


def read_visible_gpus(environment: Mapping[str, str]) -> VisibleGpus:
    """Return what to tell TorchServe about the GPUs that `environment` makes visible.

    Raises:
        GpuNameError: an entry is neither a number nor a GPU's or a slice's UUID, or there are two
            slices.
    """
    value = environment.get(VISIBLE)
    if value is None:
        return VisibleGpus(environment={}, number_of_gpu=None)
    names = _until_the_first_absent([name.strip() for name in value.split(",")])
    for name in names:
        _check(name, value)
    numbers = ",".join(str(number) for number in range(len(names)))
    if all(name.isdecimal() for name in names):
        return VisibleGpus(environment={VISIBLE: ",".join(names)}, number_of_gpu=len(names))
    if len(names) > 1 and any(name.startswith("MIG-") for name in names):
        raise GpuNameError(
            f"{VISIBLE}={value} names {len(names)} devices, but CUDA lets a process use a "
            "single MIG slice. Start one server for each slice, with that one name in it."
        )
    return VisibleGpus(
        environment={VISIBLE: numbers, NAMES_FOR_WORKERS: ",".join(names)},
        number_of_gpu=len(names),
    )


def count_gpus(environment: Mapping[str, str]) -> int:
    """Return how many GPUs the server may use: those made visible, else all that `nvidia-smi` lists.

    A GPU cut into MIG slices counts once. Without `nvidia-smi`, or where it fails, there is none: TorchServe's
    frontend sees it the same way.

    Raises:
        GpuNameError: as `read_visible_gpus`.
    """
    visible = read_visible_gpus(environment).number_of_gpu
    if visible is not None:
        return visible
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return 0
    try:
        listed = subprocess.run(
            [program, "--list-gpus"],
            capture_output=True,
            text=True,
            timeout=LIST_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _until_the_first_absent(names: list[str]) -> list[str]:
    # CUDA's own rule: -1 (or nothing) hides itself and all that follow.
    for index, name in enumerate(names):
        if name in ("", "-1", "NoDevFiles"):
            return names[:index]
    return names


def _check(name: str, value: str) -> None:
    if not (name.isascii() and name.isdecimal()) and not name.startswith(NAME_PREFIXES):
        raise GpuNameError(
            f"{VISIBLE}={value}: {name!r} is no GPU. Allowed are numbers (0,1), UUIDs (GPU-...) "
            "and MIG slices (MIG-...), as nvidia-smi -L lists them."
        )
