"""The machine a figure was measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from handlers.cgroup import cpu_count

PACKAGES = ("torch", "torchvision", "onnxruntime", "MNN", "torchserve", "pillow", "simplejpeg")


def describe() -> dict[str, Any]:
    """Return processor, cores, memory and the versions of the libraries that compute."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": cpu[0] if cpu else platform.processor(),
        "cores": cpu_count(),
        "memory_gb": round(memory_bytes / 1e9, 1),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    """Return the package's version; None where it is not installed, as a CPU's engines are not on a GPU host."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
