"""A version is unloaded once its workers have acknowledged the marker, or have not computed for a while."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.contract import DRAIN_MARKER_FILE, MANIFEST_FOLDER, VERSION_RETIRED, drain_ack_file
from serving.client.management import LoadedVersion
from serving.errors import PromotionError
from serving.rollout import drain
from serving.settings import ServerSettings
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "extracted" / MANIFEST_FOLDER).mkdir(parents=True)
    return tmp_path / "extracted"


@pytest.fixture
def worker(folder: Path) -> Iterator[int]:
    """Return the pid of an idle process in the folder the version was extracted to."""
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


class OneWorker(FakeTorchServe):
    """A TorchServe whose version 1.0 runs in one process."""

    pid = 0

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        return {
            version: LoadedVersion(
                version=version, min_workers=1, ready_pids=(self.pid,), pending_requests=0
            )
            for version in self.loaded
        }


@pytest.fixture
def server(worker: int, monkeypatch: pytest.MonkeyPatch) -> OneWorker:
    monkeypatch.setattr(drain, "POLL_S", 0.01)
    monkeypatch.setattr(drain, "IDLE_S", 0.2)
    monkeypatch.setattr(drain, "QUIET_S", 0.1)
    monkeypatch.setattr(drain, "QUIET_TIMEOUT_S", 0.3)
    server = OneWorker({})
    server.pid = worker
    # A wake-up request to a version whose archive the fake does not have.
    server.faults["predict 1.0"] = PromotionError("not asked")
    return server


@pytest.fixture
def session(server: OneWorker, settings_of) -> FakeSession:
    settings: ServerSettings = settings_of()
    return server.session(settings)


def acknowledge(folder: Path, pid: int, *, for_s: float) -> threading.Thread:
    """Answer the marker as a worker does that keeps getting requests for so long."""

    def run() -> None:
        deadline = time.monotonic() + 5
        while not (folder / DRAIN_MARKER_FILE).exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (folder / DRAIN_MARKER_FILE).read_text() == VERSION_RETIRED
        ends = time.monotonic() + for_s
        while True:
            (folder / drain_ack_file(pid)).touch()
            if time.monotonic() >= ends:
                return
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_version_is_unloaded_once_its_worker_has_acknowledged(
    server: OneWorker, session: FakeSession, folder: Path, worker: int
) -> None:
    acknowledging = acknowledge(folder, worker, for_s=0)
    sentences: list[str] = []
    drain.unload(session, "tiny", "1.0", report=sentences.append)
    acknowledging.join()
    assert (folder / drain_ack_file(worker)).exists()
    assert (sentences, server.loaded) == (["tiny 1.0 is unloaded"], set())


def test_a_worker_that_acknowledges_nothing_is_idle_once_it_has_not_computed_for_a_while(
    server: OneWorker, session: FakeSession
) -> None:
    began = time.monotonic()
    drain.unload(session, "tiny", "1.0", report=lambda _: None)
    assert time.monotonic() - began >= drain.IDLE_S
    assert server.loaded == set()


def test_a_version_that_clients_keep_asking_for_serves_on(
    server: OneWorker, session: FakeSession, folder: Path, worker: int
) -> None:
    acknowledging = acknowledge(folder, worker, for_s=1)
    with pytest.raises(PromotionError, match=r"clients keep asking for tiny 1\.0 by its number"):
        drain.unload(session, "tiny", "1.0", report=lambda _: None)
    assert not (folder / DRAIN_MARKER_FILE).exists()
    assert server.loaded == {"1.0"}
    acknowledging.join()


def test_a_version_that_is_not_loaded_needs_no_draining(session: FakeSession) -> None:
    drain.unload(session, "tiny", "7.0", report=lambda sentence: pytest.fail(sentence))
