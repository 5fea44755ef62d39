"""How many CPUs and how much memory this process may use: its affinity mask, and the limits of its cgroups.

A container that is limited to 4 CPUs on a node of 64 still sees 64, in the affinity mask as in /proc/cpuinfo; its quota
is in a file of its cgroup. cgroup v1 and v2 are read, and hybrids of both, at every level up to the root of the mount.

Standard library only: it travels in the archive, and `serving` and `tuning` import it, too.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
# Of each controller: its files in version 2 and in version 1.
MEMORY_FILES = ("memory.max", "memory.limit_in_bytes")
MEMORY_USAGE_FILES = ("memory.current", "memory.usage_in_bytes")


@dataclass(frozen=True, kw_only=True)
class AvailableCpus:
    affinity: int
    """CPUs in the affinity mask."""
    quota: float | None
    """CPUs' worth of time that the cgroup grants; None: no limit."""

    @property
    def count(self) -> int:
        """Return how many threads can compute at once; part of a CPU counts as one."""
        if self.quota is None:
            return self.affinity
        return max(1, min(self.affinity, math.ceil(self.quota)))

    @property
    def reason(self) -> str:
        """Return where the number comes from, as the end of a sentence."""
        if self.quota is None or math.ceil(self.quota) > self.affinity:
            return f"{_cpus(self.affinity)} in the affinity mask"
        return f"the cgroup's quota is {self.quota:g} of {_cpus(self.affinity)}"


def available_cpus(root: Path = ROOT) -> AvailableCpus:
    """Return the CPUs of this process. Without readable cgroups there is no quota."""
    quotas = [quota for folder in _cgroups("cpu", root) if (quota := _cpu_quota(folder))]
    return AvailableCpus(
        affinity=len(os.sched_getaffinity(0)), quota=min(quotas) if quotas else None
    )


def cpu_count() -> int:
    """Return how many threads of this process and its children can compute at once, at least 1."""
    return available_cpus().count


def usable_memory_bytes(root: Path = ROOT) -> int:
    """Return the host's memory, or the smallest memory limit of this process's cgroups if that is less."""
    limits = [_first_number(folder, MEMORY_FILES) for folder in _cgroups("memory", root)]
    host_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Version 1 has no word for `no limit` and shows the largest number of pages instead.
    return min([host_bytes, *(limit for limit in limits if limit is not None)])


def memory_left_bytes(root: Path = ROOT) -> int | None:
    """Return how much more memory the limits of the cgroups allow; None if there is none."""
    left = [
        limit - used + _unused_cache_bytes(folder)
        for folder in _cgroups("memory", root)
        if (limit := _first_number(folder, MEMORY_FILES)) is not None
        and (used := _first_number(folder, MEMORY_USAGE_FILES)) is not None
    ]
    return max(0, min(left)) if left else None


def _cpus(count: int) -> str:
    return f"{count} CPU{'s' if count != 1 else ''}"


def _cpu_quota(folder: Path) -> float | None:
    """Return the quota of one cgroup in CPUs; None if it has none."""
    # Version 2 writes `max 100000` for no limit, version 1 a quota of -1.
    text = _read(folder / "cpu.max") or " ".join(
        _read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
    )
    match = re.fullmatch(r"(\d{1,18})\s+(\d{1,18})", text, re.ASCII)
    if match is None or not int(match[1]) or not int(match[2]):
        return None
    return int(match[1]) / int(match[2])


def _first_number(folder: Path, names: tuple[str, ...]) -> int | None:
    """Return the number in the first of these files that holds one; None if none does, as with `max`."""
    for name in names:
        text = _read(folder / name)
        if re.fullmatch(r"\d{1,20}", text, re.ASCII):
            return int(text)
    return None


def _unused_cache_bytes(folder: Path) -> int:
    """Return the page cache that the kernel takes back first; Kubernetes leaves it out of a pod's memory, too."""
    match = re.search(
        r"^(?:total_)?inactive_file (\d{1,20})$",
        _read(folder / "memory.stat"),
        re.ASCII | re.MULTILINE,
    )
    return int(match[1]) if match else 0


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the process's cgroup and of its ancestors, in every mounted hierarchy of the controller."""
    paths = _cgroup_paths(controller, root)
    for line in _read(root / "proc/self/mountinfo").splitlines():
        # 36 35 98:0 /root /mount/point options [optional fields] - type source super-options
        before, separator, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not separator or len(left) < 6 or len(right) < 3:
            continue
        kind = right[0]
        if kind == "cgroup2":
            path = paths.get("")
        elif kind == "cgroup" and controller in right[2].split(","):
            path = paths.get(controller)
        else:
            continue
        mount = root / _unescaped(left[4]).lstrip("/")
        inner = _below(path, _unescaped(left[3]))
        yield mount
        for index in range(len(inner)):
            yield mount.joinpath(*inner[: index + 1])


def _cgroup_paths(controller: str, root: Path) -> dict[str, str]:
    """Return the process's cgroup in version 2, under the name "", and in version 1, under that of the controller."""
    paths = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            paths[""] = path
        elif controller in names.split(","):
            paths[controller] = path
    return paths


def _below(path: str | None, mount_root: str) -> tuple[str, ...]:
    """Return the cgroup's folders below the mount; none where the mount shows that cgroup itself.

    That is so in a container: its cgroup is mounted as the root, whatever the host calls it.
    """
    if path is None:
        return ()
    try:
        parts = PurePosixPath(path).relative_to(mount_root).parts
    except ValueError:
        return ()
    return () if ".." in parts else tuple(part for part in parts if part != "/")


def _unescaped(text: str) -> str:
    """Return a field of mountinfo, in which the kernel writes a space as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except (OSError, ValueError):
        return ""
