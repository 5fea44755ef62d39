"""live.json: what is live survives, one change at a time, and a changed archive is not what was promoted."""

import multiprocessing
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.archive.reader import read_archive
from serving.errors import ArchiveError, BusyError, InputError
from serving.rollout.live_record import (
    Deployment,
    Entry,
    entry_of,
    locked,
    open_entry,
    read_record,
    refuse_overwrite,
    write_record,
)
from storage import hashing


@pytest.fixture
def archive(archive_maker):
    return read_archive(archive_maker())


def test_without_a_record_nothing_was_ever_live(tmp_path):
    assert read_record(tmp_path) == {}


def test_the_record_comes_back_as_it_was_written(tmp_path, archive):
    entry = entry_of(archive, why="test")
    record = {"tiny": Deployment(live=entry)}
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    record["tiny"] = Deployment(live=entry, kept=(entry,))
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"models": []}', '{"models": {"a": {}}}', '{"models": {"a": 1}}']
)
def test_a_damaged_record_is_named_and_left_alone(tmp_path, content):
    (tmp_path / "live.json").write_text(content)
    with pytest.raises(InputError, match=r"live\.json cannot be read"):
        read_record(tmp_path)
    assert (tmp_path / "live.json").read_text() == content


@given(st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_raise_another_error(tmp_path, content):
    (tmp_path / "live.json").write_bytes(content)
    with pytest.raises(InputError):
        read_record(tmp_path)


def test_a_changed_archive_is_not_what_was_promoted(archive, archive_maker):
    entry = entry_of(archive, why="test")
    store = archive.path.parent
    assert open_entry(store, entry) == archive
    archive_maker(files={"notes.txt": b"changed"})
    with pytest.raises(ArchiveError, match="not what was promoted"):
        open_entry(store, entry)
    archive.path.unlink()
    with pytest.raises(ArchiveError, match="there is no archive"):
        open_entry(store, entry)


def test_an_earlier_process_is_believed_of_an_unchanged_archive_except_at_a_start(
    archive, monkeypatch
):
    store = archive.path.parent
    entry = entry_of(archive, why="test")
    os.utime(archive.path, (time.time() - 60, time.time() - 60))
    open_entry(store, entry)
    read = []
    monkeypatch.setattr(hashing, "_read_here", {})
    monkeypatch.setattr(hashing, "hash_file", lambda path: read.append(path) or entry.sha256)
    for _ in range(3):
        open_entry(store, entry)
    assert read == []
    open_entry(store, entry, rehash=True)
    assert read == [archive.path]


def test_each_promotion_keeps_as_many_versions_as_asked():
    deployment = Deployment(live=bare_entry("1"))
    for version in ("2", "3"):
        deployment = deployment.succeeded_by(bare_entry(version), keep=2)
    assert [entry.version for entry in deployment.entries] == ["3", "2", "1"]
    again = deployment.succeeded_by(bare_entry("2"), keep=2)
    assert [entry.version for entry in again.kept] == ["3", "1"]
    assert deployment.succeeded_by(bare_entry("4"), keep=0).previous is None
    assert [entry.version for entry in deployment.without("2").kept] == ["1"]


def bare_entry(version):
    return Entry(version=version, archive=f"m-{version}.mar", sha256="0" * 64, since="now", why="")


def test_live_and_kept_versions_are_not_overwritten(tmp_path, archive):
    write_record(tmp_path, {"tiny": Deployment(live=entry_of(archive, why="test"))})
    with pytest.raises(InputError, match="give a new --version"):
        refuse_overwrite(tmp_path, "tiny", "1.0")
    refuse_overwrite(tmp_path, "tiny", "2.0")
    refuse_overwrite(tmp_path, "other", "1.0")


def hold(model_store, holds, done):
    with locked(model_store):
        holds.set()
        done.wait(30)


def test_one_change_at_a_time_even_between_processes(tmp_path):
    context = multiprocessing.get_context("fork")
    holds, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, holds, done))
    other.start()
    try:
        assert holds.wait(30)
        with pytest.raises(BusyError, match="wait until it is done"), locked(tmp_path):
            pass
    finally:
        done.set()
        other.join()
    with locked(tmp_path):
        pass


def test_the_lock_goes_with_an_error(tmp_path):
    with pytest.raises(ValueError, match="inside"), locked(tmp_path):
        raise ValueError("inside")
    with locked(tmp_path / "made"):
        assert (tmp_path / "made").is_dir()
