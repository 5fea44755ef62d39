"""A root folder with the files of a process in a cgroup, as the kernel writes them, for `handlers.cgroup`."""

from pathlib import Path

NO_LIMIT_V1 = "9223372036854771712"


def write_v2(
    root: Path,
    *,
    cpu_max: str = "max 100000",
    memory_max: str = "max",
    used_bytes: int = 0,
    path: str = "/",
) -> Path:
    """Write a cgroup of version 2 and return the root; the last of several calls is the process's own level."""
    proc = root / "proc" / "self"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "cgroup").write_text(f"0::{path}\n")
    (proc / "mountinfo").write_text(
        "24 30 0:22 / /proc rw,nosuid - proc proc rw\n"
        "33 32 0:29 / /sys/fs/cgroup ro,nosuid shared:9 - cgroup2 cgroup rw,nsdelegate\n"
    )
    folder = root / "sys/fs/cgroup" / path.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(f"{cpu_max}\n")
    (folder / "memory.max").write_text(f"{memory_max}\n")
    (folder / "memory.current").write_text(f"{used_bytes}\n")
    return root


def write_v1(
    root: Path,
    *,
    quota_us: int = -1,
    period_us: int = 100_000,
    memory_limit: str = NO_LIMIT_V1,
    path: str = "/docker/4f6",
    mount_root: str = "/docker/4f6",
) -> Path:
    """Write a cgroup of version 1, its controllers mounted one by one as Docker does, and return the root."""
    proc = root / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(f"5:memory:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:{path}\n")
    folder = "/sys/fs/cgroup"
    (proc / "mountinfo").write_text(
        f"40 39 0:33 {mount_root} {folder}/cpu,cpuacct ro master:11 - cgroup cgroup rw,cpu,cpuacct\n"
        f"41 39 0:34 {mount_root} {folder}/memory ro master:12 - cgroup cgroup rw,memory\n"
    )
    inner = Path(path).relative_to(mount_root) if Path(path).is_relative_to(mount_root) else ""
    cpu, memory = (root / folder[1:] / name / inner for name in ("cpu,cpuacct", "memory"))
    cpu.mkdir(parents=True)
    memory.mkdir(parents=True)
    (cpu / "cpu.cfs_quota_us").write_text(f"{quota_us}\n")
    (cpu / "cpu.cfs_period_us").write_text(f"{period_us}\n")
    (memory / "memory.limit_in_bytes").write_text(f"{memory_limit}\n")
    return root
