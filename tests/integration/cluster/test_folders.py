"""`headswap predict --cluster` on two nodes: the command killed, then a node, and still each photo exactly once."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import pytest
from ray.cluster_utils import Cluster

from headswap.cli import main
from tests.helpers import free_port
from tests.integration.batch.conftest import photo, photos, write_archive

__all__ = ["photos"]

HEADSWAP = str(Path(sys.executable).with_name("headswap"))
DEADLINE_S = 120.0
# So that a kill finds photos in flight: 23 of them take some seconds.
SLOW = {
    "handlers/images/loaders.py": """
_load = CpuLoader._load
def _slow_load(self, photo, timings):
    time.sleep(0.25)
    return _load(self, photo, timings)
CpuLoader._load = _slow_load
"""
}


def count_parts(out: Path) -> int:
    return len(list(out.glob("part-*")))


def wait_for_parts(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while count_parts(out) < count:
        assert time.monotonic() < deadline
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        assert process.stderr is not None
        pytest.fail(process.stderr.read().decode())


def test_each_photo_is_answered_once_whatever_is_killed(
    cluster: Cluster, photos: Path, tmp_path: Path
) -> None:
    archive, out = write_archive(tmp_path / "slow-1.0.mar", patches=SLOW), tmp_path / "out"
    # Two photos a part: three at a time are with each node, and twelve to do.
    command = [HEADSWAP, "predict", str(photos), "--archive", str(archive), "--out", str(out)]
    command += ["--allow-custom-handler", "--photos-per-file", "2", "--cluster", cluster.address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for_parts(process, out, 2)
    process.kill()
    process.communicate()
    before = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}

    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for_parts(process, out, len(before) + 2)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1, said

    after = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}
    assert len(after) == 12
    assert before.items() <= after.items()
    paths = Counter(pyarrow.parquet.read_table(out)["path"].to_pylist())
    assert paths == Counter(str(path) for path in photos.rglob("*.jpg"))


def test_no_cluster_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = write_archive(tmp_path / "colours-1.0.mar")
    (tmp_path / "a.jpg").write_bytes(photo((220, 30, 30)))
    options = ["--archive", str(archive), "--out", str(tmp_path / "out")]
    address = f"127.0.0.1:{free_port()}"
    assert main(["predict", str(tmp_path / "a.jpg"), *options, "--cluster", address]) == 2
    assert f"no Ray cluster answers at '{address}'" in capsys.readouterr().err
