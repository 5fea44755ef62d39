"""The state folder: one server at a time, and a key file that comes back."""

import json
import multiprocessing
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.client.tokens import read_token
from serving.errors import BusyError, SettingsError
from serving.rollout.live_record import FILE_NAME
from serving.server import state_folder
from serving.server.serve import serve
from serving.server.server import Server
from serving.server.state_folder import KeyFileKeeper, lock
from tests.helpers import free_ports

EXPIRES = datetime.now(UTC).isoformat()


def hold(state, holds, done) -> None:
    with lock(state):
        holds.set()
        done.wait(30)


@pytest.fixture
def other_server(tmp_path: Path):
    """Another process that holds the state folder, and has its files in it."""
    state = tmp_path / "state"
    context = multiprocessing.get_context("fork")
    holds, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(state, holds, done))
    other.start()
    assert holds.wait(30)
    (state / "tmp").mkdir()
    (state / "tmp" / ".ts.sock.9000").write_text("socket")
    (state / "key_file.json").write_text("keys")
    yield other
    done.set()
    other.join()


def test_a_second_server_is_refused_and_changes_nothing(
    other_server, settings_of, archive_maker, tmp_path: Path
) -> None:
    settings = settings_of()
    with pytest.raises(
        BusyError, match=rf"in use by another server \(process {other_server.pid}\)"
    ):
        serve(settings, archives=[archive_maker()], report=print)
    with pytest.raises(BusyError), Server(settings) as server:
        server.start()
    assert (settings.state / "tmp" / ".ts.sock.9000").exists()
    assert settings.key_file.read_text() == "keys"
    assert not (settings.model_store / FILE_NAME).exists()


def test_the_lock_goes_with_the_server(settings_of) -> None:
    ports = free_ports(5)
    settings = settings_of(
        *(f"{key}_address=http://127.0.0.1:{ports.pop()}" for key in ("inference", "management", "metrics")),
        *(f"grpc_{key}_port={ports.pop()}" for key in ("inference", "management")),
    )  # fmt: skip
    with Server(settings) as server:
        server.claim()
        server.claim()
        with pytest.raises(BusyError):
            lock(settings.state)
    lock(settings.state).close()


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="give --state a folder"):
        lock(tmp_path / "file" / "state")


def test_a_deleted_key_file_is_written_again_for_its_owner_alone(
    tmp_path: Path, key_file_writer
) -> None:
    path = tmp_path / "state" / "key_file.json"
    keeper = KeyFileKeeper(path)
    keeper.check()
    assert not path.exists()
    key_file_writer(path, inference="first", expires=EXPIRES)
    keeper.check()
    key_file_writer(path, inference="renewed", expires=EXPIRES)
    keeper.check()
    before = path.read_bytes()
    path.unlink()
    keeper.check()
    assert path.read_bytes() == before
    assert read_token(path, "inference") == "renewed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    path.parent.rmdir()
    keeper.check()
    assert read_token(path, "inference") == "renewed"


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_key_file_is_written_again_but_not_while_java_writes_it(
    tmp_path: Path, key_file_writer, content: bytes
) -> None:
    path = tmp_path / "key_file.json"
    keeper = KeyFileKeeper(path)
    key_file_writer(path, inference="first", expires=EXPIRES)
    keeper.check()
    path.write_bytes(content)
    keeper.check()
    assert path.read_bytes() == content
    keeper.check()
    assert json.loads(path.read_text())["inference"]["key"] == "first"


def test_a_full_disk_is_tried_again(tmp_path: Path, key_file_writer, monkeypatch) -> None:
    path = tmp_path / "key_file.json"
    keeper = KeyFileKeeper(path)
    key_file_writer(path, inference="first", expires=EXPIRES)
    keeper.check()
    path.unlink()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state_folder.os, "open", full)
        keeper.check()
    assert not path.exists()
    keeper.check()
    assert read_token(path, "inference") == "first"


def test_it_checks_until_the_server_stops(tmp_path: Path, key_file_writer, monkeypatch) -> None:
    monkeypatch.setattr(state_folder, "POLL_S", 0.001)
    path = tmp_path / "key_file.json"
    stopping, restored = threading.Event(), threading.Event()
    keeper = KeyFileKeeper(path)
    key_file_writer(path, inference="first", expires=EXPIRES)
    keeper.check()
    os.unlink(path)
    monkeypatch.setattr(keeper, "check", lambda: (KeyFileKeeper.check(keeper), restored.set()))
    thread = threading.Thread(target=keeper.run, args=(stopping,))
    thread.start()
    assert restored.wait(10)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert path.exists()
