"""How many processes a machine gets for an archive."""

from pathlib import Path

import pytest

from batch import workers
from batch.extraction import RunnableArchive
from serving.archive.reader import Archive

GB = 1_000_000_000


def archive_of(tmp_path: Path, *, size_bytes: int, threads: object = None) -> RunnableArchive:
    path = tmp_path / "a.mar"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    archive = Archive(
        path=path, name="a", version="1.0", class_names=("x",), probe_sets=(), sha256="0" * 64
    )
    settings = {} if threads is None else {"handler": {"threads_per_worker": threads}}
    return RunnableArchive(archive=archive, folder=tmp_path, model_config=settings)


@pytest.mark.parametrize(
    ("wanted", "gpus", "threads", "memory_gb", "count"),
    [
        (None, 0, None, 100, 8),
        (None, 0, 4, 100, 2),
        # Nonsense is the handler's to refuse.
        (None, 0, "four", 100, 8),
        (None, 0, 99, 100, 8),
        # Three of 0.32 and 0.68 GB fit.
        (None, 0, None, 3.5, 3),
        (None, 0, None, 0.1, 1),
        (None, 2, None, 100, 2),
        (5, 0, None, 0.1, 5),
        (5, 2, None, 100, 5),
    ],
)
def test_one_per_gpu_or_per_core_that_computes_and_fits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: int | None,
    gpus: int,
    threads: object,
    memory_gb: float,
    count: int,
) -> None:
    monkeypatch.setattr(workers, "cpu_count", lambda: 8)
    monkeypatch.setattr(workers, "usable_memory_bytes", lambda: int(memory_gb * GB))
    archive = archive_of(tmp_path, size_bytes=680_000_000, threads=threads)
    assert workers.count_workers(archive, gpus=gpus, wanted=wanted) == count


def test_gpus_are_shared_out_and_one_worker_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "count_gpus", lambda environment: 2)
    archive = archive_of(tmp_path, size_bytes=1)
    loads = workers.plan_loads(archive, ["photos", "s3://bucket/x"], top_k=3, workers=4)
    assert [load["gpu_id"] for load in loads] == [0, 1, 0, 1]
    assert [load["is_quiet"] for load in loads] == [False, True, True, True]
    assert loads[0]["stores"] == [None, "s3://bucket/x"]
