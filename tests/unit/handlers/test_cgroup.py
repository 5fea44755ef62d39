"""What a process may use: the CPUs and the memory of its cgroups, in both versions and at every level."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import cgroup
from handlers.cgroup import available_cpus, memory_left_bytes, usable_memory_bytes
from tests.cgroups import NO_LIMIT_V1, write_v1, write_v2

GIB = 1 << 30
KERNEL_FILES = (
    "proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat",
)  # fmt: skip


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of 64 CPUs and 256 GiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 1024}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)


@pytest.mark.parametrize(
    ("cpu_max", "count"),
    [
        ("400000 100000", 4),
        ("350000 100000", 4),
        ("50000 100000", 1),
        ("1000 1000000", 1),
        ("12800000 100000", 64),
        ("max 100000", 64),
        ("0 100000", 64),
        ("400000 0", 64),
        ("-1 100000", 64),
        ("garbage", 64),
        ("", 64),
    ],
)
def test_a_quota_of_version_2_is_rounded_up(tmp_path: Path, cpu_max: str, count: int) -> None:
    assert available_cpus(write_v2(tmp_path, cpu_max=cpu_max)).count == count


@pytest.mark.parametrize(
    ("quota_us", "period_us", "count"),
    [(400_000, 100_000, 4), (250_000, 100_000, 3), (10_000, 100_000, 1), (-1, 100_000, 64)],
)
def test_a_quota_of_version_1_is_rounded_up(
    tmp_path: Path, quota_us: int, period_us: int, count: int
) -> None:
    root = write_v1(tmp_path, quota_us=quota_us, period_us=period_us)
    assert available_cpus(root).count == count


def test_a_container_that_sees_the_hosts_name_of_its_cgroup_reads_its_own_files(
    tmp_path: Path,
) -> None:
    # Without a namespace for cgroups, the mount's root and the process's path are the host's; with one of them unknown
    # to the other, the mount is the cgroup itself.
    hidden = write_v1(tmp_path / "a", quota_us=200_000, path="/kubepods/pod1/c2", mount_root="/x")
    below = write_v1(tmp_path / "b", quota_us=300_000, path="/docker/4f6/inner")
    assert [available_cpus(root).count for root in (hidden, below)] == [2, 3]


def test_the_tightest_level_counts(tmp_path: Path) -> None:
    write_v2(tmp_path, cpu_max="200000 100000", memory_max=str(3 * GIB), path="/pod")
    write_v2(tmp_path, cpu_max="800000 100000", memory_max=str(8 * GIB), path="/pod/container")
    assert available_cpus(tmp_path).count == 2
    assert usable_memory_bytes(tmp_path) == 3 * GIB


def test_a_small_affinity_mask_counts_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7})
    cpus = available_cpus(write_v2(tmp_path, cpu_max="400000 100000"))
    assert (cpus.count, cpus.reason) == (2, "2 CPUs in the affinity mask")


@pytest.mark.parametrize(
    ("cpu_max", "reason"),
    [
        ("350000 100000", "the cgroup's quota is 3.5 of 64 CPUs"),
        ("max 100000", "64 CPUs in the affinity mask"),
    ],
)
def test_the_reason_says_what_was_counted(tmp_path: Path, cpu_max: str, reason: str) -> None:
    assert available_cpus(write_v2(tmp_path, cpu_max=cpu_max)).reason == reason


@pytest.mark.parametrize(
    ("memory_max", "limit"),
    [(str(8 * GIB), 8), ("max", 256), (str(512 * GIB), 256), ("8G", 256), ("", 256)],
)
def test_a_limit_that_is_none_or_above_the_hosts_memory_does_not_count(
    tmp_path: Path, memory_max: str, limit: int
) -> None:
    assert usable_memory_bytes(write_v2(tmp_path, memory_max=memory_max)) == limit * GIB


@pytest.mark.parametrize(("text", "limit"), [(str(2 * GIB), 2), (NO_LIMIT_V1, 256)])
def test_a_memory_limit_of_version_1(tmp_path: Path, text: str, limit: int) -> None:
    assert usable_memory_bytes(write_v1(tmp_path, memory_limit=text)) == limit * GIB


def test_memory_that_is_left_includes_the_idle_page_cache(tmp_path: Path) -> None:
    write_v2(tmp_path, memory_max=str(8 * GIB), used_bytes=5 * GIB)
    assert memory_left_bytes(tmp_path) == 3 * GIB
    stat = tmp_path / "sys/fs/cgroup/memory.stat"
    stat.write_text(f"anon 12\nfile 34\ninactive_file {2 * GIB}\n")
    assert memory_left_bytes(tmp_path) == 5 * GIB
    write_v2(tmp_path, memory_max="max", used_bytes=5 * GIB)
    assert memory_left_bytes(tmp_path) is None


def test_without_cgroups_the_host_is_what_there_is(tmp_path: Path) -> None:
    assert available_cpus(tmp_path).count == 64
    assert usable_memory_bytes(tmp_path) == 256 * GIB
    assert memory_left_bytes(tmp_path) is None


@given(st.lists(st.binary(max_size=80), min_size=6, max_size=6), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_content_of_the_files_raises_or_counts_less_than_one(
    tmp_path: Path, contents: list[bytes], is_mounted: bool
) -> None:
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    write_v2(root)
    for name, content in zip(KERNEL_FILES, contents, strict=True):
        if not (is_mounted and name.startswith("proc/")):
            (root / name).write_bytes(content)
    assert 1 <= available_cpus(root).count <= 64
    left = memory_left_bytes(root)
    assert 0 <= usable_memory_bytes(root) <= 256 * GIB
    assert left is None or left >= 0


def test_this_machine_is_read() -> None:
    assert cgroup.cpu_count() >= 1
