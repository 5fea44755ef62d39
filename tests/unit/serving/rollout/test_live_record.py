"""live.json: what is live survives, one change at a time, and a changed archive is not what was promoted."""

import contextlib
import json
import multiprocessing
import os
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.archive.reader import read_archive
from serving.errors import ArchiveError, BusyError, InputError
from serving.rollout import live_record
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
    record["tiny"] = Deployment(live=entry, kept=(replace(entry, version="0.9"),))
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", '{"models": []}', '{"models": {"a": {}}}', '{"models": {"a": 1}}', "[" * 100_000,
        '{"models": {"a": {"live": null, "kept": []}}}', '{"models": {"a": {"live": {}, "kept": []}}}',
    ],
)  # fmt: skip
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


ENTRY = {"version": "1", "archive": "a-1.mar", "sha256": "0" * 64, "since": "now", "why": ""}


@pytest.mark.parametrize(
    ("live", "kept", "reason"),
    [
        ({"version": 1}, [], "the live entry of 'a': version must be a text, not 1"),
        ({"why": None}, [], "the live entry of 'a': why must be a text, not None"),
        (
            {"note": "mine"},
            [],
            "the live entry of 'a' must have the keys version, archive, sha256, ",
        ),
        ({"archive": "../a-1.mar"}, [], "must be a file name in the model store, not '../a-1.mar'"),
        ({"archive": "/etc/a.mar"}, [], "must be a file name in the model store"),
        ({"archive": ""}, [], "must be a file name in the model store"),
        ({"sha256": "abc"}, [], "sha256 must have 64 hexadecimal digits, not 'abc'"),
        ({}, [{"version": "0"}, {"version": 2}], "kept entry 2 of 'a': version must be a text"),
        ({}, [{}], "the model 'a' has a version twice: 1, 1"),
    ],
)
def test_an_edited_record_is_rejected_with_the_entry_and_the_value(tmp_path, live, kept, reason):
    entries = [ENTRY | entry for entry in kept]
    content = {"models": {"a": {"live": ENTRY | live, "kept": entries}}}
    (tmp_path / "live.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_record(tmp_path)
    assert str(tmp_path / "live.json") in str(caught.value)
    assert reason in str(caught.value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*ENTRY, "more"]), JSON_VALUES), JSON_VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edited_entry_raises_another_error(tmp_path, live, kept):
    content = {"models": {"a": {"live": ENTRY | live, "kept": kept}}}
    (tmp_path / "live.json").write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        assert read_record(tmp_path)["a"].live.version == live.get("version", "1")


def test_a_changed_archive_is_not_what_was_promoted(archive, archive_maker):
    entry = entry_of(archive, why="test")
    store = archive.path.parent
    assert open_entry(store, entry, model="tiny") == archive
    archive_maker(files={"notes.txt": b"changed"})
    with pytest.raises(ArchiveError, match="not what was promoted") as changed:
        open_entry(store, entry, model="tiny")
    archive.path.unlink()
    with pytest.raises(ArchiveError, match="there is no archive") as gone:
        open_entry(store, entry, model="tiny")
    for caught in (changed, gone):
        assert f"{store / 'live.json'} names tiny-1.0.mar as tiny 1.0" in str(caught.value)
        assert str(store / "tiny-1.0.mar") in str(caught.value)
        assert entry.sha256[:12] in str(caught.value)


def test_names_that_torchserve_loads_are_served(archive):
    entry = entry_of(archive, why="test")
    path = archive.path
    for name in ("a=b.mar", "a#b!.mar", "100%25.mar", "x:y.mar", "a+b~@[x]'&;.mar", " first.mar"):
        path = path.rename(path.with_name(name))
        assert open_entry(path.parent, entry, model="tiny").path == path


@pytest.mark.parametrize("rehash", [True, False])
def test_a_renamed_archive_is_found_by_what_is_in_it(archive, archive_maker, rehash):
    entry = entry_of(archive, why="test")
    store = archive.path.parent
    (store / "broken.mar").write_bytes(b"no zip")
    (store / "folder.mar").mkdir()
    archive.path.rename(store / "clothes (1).mar")
    found = open_entry(store, entry, model="tiny", rehash=rehash)
    assert (found.path.name, found.sha256) == ("clothes (1).mar", entry.sha256)
    # Another version has taken its name.
    archive_maker(files={"notes.txt": b"changed"})
    assert open_entry(store, entry, model="tiny", rehash=rehash).path.name == "clothes (1).mar"


@pytest.mark.parametrize("name", ["a,b.mar", "ä.mar", "a\\b.mar", "a..b.mar"])
def test_a_name_that_torchserve_cannot_load_is_rejected_with_the_one_to_give(archive, name):
    entry = entry_of(archive, why="test")
    archive.path.rename(archive.path.with_name(name))
    with pytest.raises(ArchiveError, match=r"rename it to tiny-1\.0\.mar") as caught:
        open_entry(archive.path.parent, entry, model="tiny")
    assert name in str(caught.value)


@pytest.mark.parametrize(("model", "version"), [("tiny", "2.0"), ("other", "1.0")])
def test_an_entry_that_names_what_its_archive_does_not_hold_is_rejected(archive, model, version):
    entry = replace(entry_of(archive, why="test"), version=version)
    with pytest.raises(ArchiveError) as caught:
        open_entry(archive.path.parent, entry, model=model)
    assert f"live.json names tiny-1.0.mar as {model} {version}" in str(caught.value)
    assert f"{archive.path}, holds tiny 1.0" in str(caught.value)


def test_an_earlier_process_is_believed_of_an_unchanged_archive_except_at_a_start(
    archive, monkeypatch
):
    store = archive.path.parent
    entry = entry_of(archive, why="test")
    os.utime(archive.path, (time.time() - 60, time.time() - 60))
    open_entry(store, entry, model="tiny")
    read = []
    monkeypatch.setattr(hashing, "_read_here", {})
    monkeypatch.setattr(hashing, "hash_file", lambda path: read.append(path) or entry.sha256)
    for _ in range(3):
        open_entry(store, entry, model="tiny")
    assert read == []
    open_entry(store, entry, model="tiny", rehash=True)
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


READ_ONLY = OSError(30, "Read-only file system")


@pytest.mark.parametrize("has_lock_file", [True, False])
def test_a_read_only_store_is_locked_all_the_same(tmp_path, monkeypatch, has_lock_file):
    if has_lock_file:
        (tmp_path / ".promotion.lock").touch()
    opened = os.open

    def read_only(path, flags, *rest):
        if flags & (os.O_RDWR | os.O_CREAT):
            raise READ_ONLY
        return opened(path, flags, *rest)

    monkeypatch.setattr(live_record.os, "open", read_only)
    with locked(tmp_path), pytest.raises(BusyError), locked(tmp_path):
        pass
    assert (tmp_path / ".promotion.lock").exists() == has_lock_file


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"the model store .*file/store cannot be made"),
        locked(tmp_path / "file" / "store"),
    ):
        pass
