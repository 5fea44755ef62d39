"""What `headswap serve` says of its workers and their memory before and after they run."""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from handlers import cgroup
from serving.client.management import LoadedVersion
from serving.errors import UnreachableError
from serving.rollout.startup import choose_live
from serving.rollout.trust import Trust
from serving.server import serve
from serving.server.serve import report_memory, report_workers
from tests.cgroups import write_v2

GB = 1_000_000_000


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod of 64 CPUs and 8 GB."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    root = write_v2(tmp_path / "root", memory_max=str(8 * GB))
    monkeypatch.setattr(cgroup, "available_cpus", partial(cgroup.available_cpus, root))
    monkeypatch.setattr(serve, "usable_memory_bytes", partial(cgroup.usable_memory_bytes, root))
    return root


def test_the_workers_of_each_live_version_are_said_with_the_reason(
    pod, settings_of, archive_maker
) -> None:
    settings = settings_of()
    choose_live(settings.model_store, [archive_maker()], trust=Trust(allow_custom_handler=True))
    said: list[str] = []
    report_workers(settings, report=said.append)
    assert said[0] == "tiny 1.0: 64 workers, one per CPU: 64 CPUs in the affinity mask"
    assert "25 at most fit" in said[1]
    write_v2(pod, cpu_max="400000 100000", memory_max=str(8 * GB))
    said.clear()
    report_workers(settings, report=said.append)
    assert said == ["tiny 1.0: 4 workers, one per CPU: the cgroup's quota is 4 of 64 CPUs"]


def test_the_workers_of_an_archive_that_sets_them_are_said(pod, settings_of, archive_maker) -> None:
    settings = settings_of()
    path = archive_maker(files={"model-config.yaml": b"minWorkers: 2\nmaxWorkers: 2\n"})
    choose_live(settings.model_store, [path], trust=Trust(allow_custom_handler=True))
    said: list[str] = []
    report_workers(settings, report=said.append)
    assert said == ["tiny 1.0: 2 workers, minWorkers in the archive's model-config.yaml"]


class FakeManagement:
    def __init__(self, workers_ready: int) -> None:
        self.workers_ready = workers_ready

    def models(self) -> list[str]:
        if self.workers_ready < 0:
            raise UnreachableError("gone")
        return ["tiny"]

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        pids = tuple(range(101, 101 + self.workers_ready))
        loaded = LoadedVersion(version="1.0", min_workers=4, ready_pids=pids, pending_requests=0)
        return {"1.0": loaded}


@pytest.mark.parametrize(
    ("ready", "said"), [(4, []), (10, ["default_workers_per_model=8 "]), (0, []), (-1, [])]
)
def test_the_measured_size_of_the_workers_is_compared_with_the_limit(
    pod, monkeypatch, ready: int, said: list[str]
) -> None:
    # 0.5 GB for each of Java and serve, and 0.8 GB for a worker: (8 - 1) / 0.8 = 8.75.
    sizes = {1: GB // 2, os.getpid(): GB // 2}
    monkeypatch.setattr(serve, "process_bytes", lambda pid: sizes.get(pid, 800_000_000))
    management = FakeManagement(ready)
    session = SimpleNamespace(http=SimpleNamespace(management=management))
    warnings: list[str] = []
    report_memory(SimpleNamespace(session=session, pid=1), report=warnings.append)
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))
