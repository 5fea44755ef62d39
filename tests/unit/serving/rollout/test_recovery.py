"""What the next command does about a promotion that was killed: undo it, or complete it."""

import os
from dataclasses import replace

import pytest

from serving.archive.reader import read_archive
from serving.rollout import journal
from serving.rollout.leftovers import clear_leftovers
from serving.rollout.live_record import Deployment, Entry, entry_of, read_record, write_record
from serving.rollout.recovery import _unneeded_versions, recover
from storage.atomic import atomic_path
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe, quiet

INTENT = journal.Intent(model="tiny", version="2.0", was_loaded=False, evicted=("0.9",))


def entry(version: str) -> Entry:
    return Entry(version=version, archive=f"m-{version}.mar", sha256="0" * 64, since="now", why="")


def test_a_killed_promotion_leaves_its_candidate_or_the_versions_it_evicts() -> None:
    before = Deployment(live=entry("1.0"), kept=(entry("0.9"),))
    assert _unneeded_versions(INTENT, before) == ["2.0"]
    assert _unneeded_versions(INTENT, before.succeeded_by(entry("2.0"), keep=1)) == ["0.9"]
    assert _unneeded_versions(replace(INTENT, was_loaded=True), before) == []
    assert _unneeded_versions(INTENT, None) == ["2.0"]


def test_a_promotion_killed_before_the_record_is_undone(
    server: FakeTorchServe, session: FakeSession
) -> None:
    server.loaded, server.default = {"1.0", "2.0"}, "2.0"
    journal.begin(session.settings.model_store, INTENT)
    sentences: list[str] = []
    recover(session, report=sentences.append)
    assert (server.default, server.loaded) == ("1.0", {"1.0"})
    assert journal.read_intent(session.settings.model_store) is None
    assert "1.0 is live again" in sentences[0]
    assert "cleaned up after a promotion of tiny 2.0" in sentences[-1]
    recover(session, report=lambda _: pytest.fail("there is nothing left to do"))


def test_a_promotion_killed_after_the_record_is_completed(
    server: FakeTorchServe, session: FakeSession, archives: dict
) -> None:
    model_store = session.settings.model_store
    server.loaded, server.default = {"0.9", "1.0", "2.0"}, "2.0"
    second = entry_of(read_archive(archives["2.0"]), why="test")
    write_record(
        model_store, {"tiny": read_record(model_store)["tiny"].succeeded_by(second, keep=1)}
    )
    journal.begin(model_store, INTENT)
    recover(session, report=quiet)
    assert (server.default, server.loaded) == ("2.0", {"1.0", "2.0"})


def test_incomplete_copies_are_removed_once_nobody_writes_them(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = session.settings.model_store
    whole = sorted(store.iterdir())
    (store / ".tiny-9.0.mar.part").write_bytes(b"half")
    with atomic_path(store / "tiny-9.0.mar") as temporary:
        temporary.write_bytes(b"half")
        os.utime(temporary, (0, 0))
        clear_leftovers(store)
        assert temporary.exists()
        monkeypatch.setattr("serving.rollout.leftovers.LEFTOVER_AFTER_S", 0)
        recover(session, report=quiet)
        assert sorted(store.iterdir()) == whole
        temporary.touch()
