"""A promotion against a server that fails at every step in turn: the old version serves, and the record says so."""

import os
import time
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from serving.archive.reader import Archive, read_archive
from serving.errors import (
    BusyError,
    InputError,
    InternalServerError,
    NotFoundError,
    PromotionError,
    UnreachableError,
)
from serving.rollout import journal, live_record, steps, store
from serving.rollout.gates import Gates
from serving.rollout.live_record import Entry, entry_of, locked, read_record
from serving.rollout.promotion import PromotionOptions, promote
from serving.rollout.retirement import retire
from serving.rollout.rollback import choose_model, rollback
from storage import hashing
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe, quiet


def live(session: FakeSession) -> str:
    return read_record(session.settings.model_store)["tiny"].live.version


def test_a_promotion_takes_its_steps_in_order(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    sentences: list[str] = []
    result = promote(session, archives["2.0"], report=sentences.append)
    assert (result.live, result.previous) == ("2.0", "1.0")
    assert server.calls == ["register", "set_default"]
    assert (server.default, server.loaded) == ("2.0", {"1.0", "2.0"})
    assert journal.read_intent(session.settings.model_store) is None
    assert sentences == [
        f"tiny 2.0 is in {session.settings.model_store}",
        "tiny 2.0 is loaded",
        "its probes differ by at most 0",
        "tiny 2.0 is live",
    ]
    assert rollback(session, None, report=quiet).live == "1.0"
    assert server.calls == ["register", "set_default", "set_default"]


def test_the_record_says_when_it_was_switched_not_when_the_promotion_began(
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minute = 0

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 11, 29, 12, minute, tzinfo=tz)

    register = server.register

    def load_for_a_minute(archive_name: str, *, workers: int) -> None:
        nonlocal minute
        minute += 1
        register(archive_name, workers=workers)

    monkeypatch.setattr(live_record, "datetime", Clock)
    monkeypatch.setattr(server, "register", load_for_a_minute)
    promote(session, archives["2.0"], report=quiet)
    entry = read_record(session.settings.model_store)["tiny"].live
    assert (entry.version, entry.since) == ("2.0", "2026-11-29T12:01:00+00:00")


def test_a_promotion_reads_each_archive_once(
    session: FakeSession, archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = session.settings.model_store / archives["2.0"].name
    archives["2.0"].rename(stored)
    for path in session.settings.model_store.glob("*.mar"):
        # Files that have only just changed are read each time.
        os.utime(path, (time.time() - 60, time.time() - 60))
    read: list[str] = []
    hash_file = hashing.hash_file

    def count(path: Path) -> str:
        read.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(hashing, "hash_file", count)
    promote(session, stored, report=quiet)
    assert sorted(read) == ["tiny-1.0.mar", "tiny-2.0.mar"]
    # Another process, as each command is one.
    monkeypatch.setattr(hashing, "_read_here", {})
    rollback(session, None, report=quiet)
    assert len(read) == 2
    promote(session, stored, report=quiet)
    # What comes in is read whatever is remembered of it.
    assert read[2:] == ["tiny-2.0.mar"]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("register", InternalServerError("Worker died.", status=500)),
        ("register", InternalServerError("CUDA out of memory", status=507)),
        ("register", UnreachableError("gone")),
        ("set_default", InternalServerError("no such version", status=500)),
        ("predict 2.0", NotFoundError("Worker died.", status=404)),
    ],
)
def test_a_fault_leaves_the_old_version(
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
    step: str,
    error: Exception,
) -> None:
    server.faults[step] = error
    with pytest.raises(PromotionError):
        promote(session, archives["2.0"], report=quiet)
    assert (server.default, live(session)) == ("1.0", "1.0")
    if step != "set_default":
        assert server.loaded == {"1.0"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("2.0", "refused, nothing has changed"), ("default", "did not take over; 1.0 serves again")],
)
def test_wrong_answers_before_or_after_the_switch_leave_the_old_version(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path], wrong: str, said: str
) -> None:
    server.wrong.add(wrong)
    with pytest.raises(PromotionError, match=f"{said}.*differs by 0.200"):
        promote(session, archives["2.0"], report=quiet)
    assert (server.default, live(session)) == ("1.0", "1.0")


def test_a_version_without_all_its_workers_is_unloaded(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    server.ready_workers = 0
    with pytest.raises(PromotionError, match="0 of 1 workers"):
        promote(session, archives["2.0"], report=quiet)
    assert (server.default, server.loaded, live(session)) == ("1.0", {"1.0"}, "1.0")


@pytest.mark.parametrize(
    "error",
    [
        PromotionError("a drop of more than 1 %"),
        InternalServerError("Worker died.", status=500),
        KeyboardInterrupt(),
    ],
)
def test_a_version_that_fails_a_gate_is_unloaded(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
    error: BaseException,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(steps, "check_gates", fail)
    with pytest.raises((PromotionError, KeyboardInterrupt)):
        promote(session, archives["2.0"], report=quiet)
    assert (server.default, server.loaded, live(session)) == ("1.0", {"1.0"}, "1.0")


def test_a_candidate_is_tried_out_between_the_gates_and_the_switch(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    tried: list[tuple[str, str, str]] = []

    def try_out(archive: Archive, live: Entry) -> None:
        tried.append((archive.version, live.version, server.default))

    promote(session, archives["2.0"], report=quiet, trial=try_out)
    assert tried == [("2.0", "1.0", "1.0")]
    assert server.default == "2.0"


@pytest.mark.parametrize("error", [PromotionError("too slow"), KeyboardInterrupt()])
@pytest.mark.parametrize("was_loaded", [False, True])
def test_a_candidate_that_fails_its_trial_is_unloaded_unless_it_was_loaded(
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
    error: BaseException,
    was_loaded: bool,
) -> None:
    if was_loaded:
        server.loaded.add("2.0")

    def fail(archive: Archive, live: Entry) -> None:
        raise error

    with pytest.raises(type(error)):
        promote(session, archives["2.0"], report=quiet, trial=fail)
    assert server.loaded == ({"1.0", "2.0"} if was_loaded else {"1.0"})
    assert (server.default, live(session)) == ("1.0", "1.0")
    assert "set_default" not in server.calls


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_at_the_record_puts_the_old_version_back(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
) -> None:
    monkeypatch.setattr(store, "write_record", full_disk)
    with pytest.raises(PromotionError, match="No space left on device"):
        promote(session, archives["2.0"], report=quiet)
    assert (server.default, live(session)) == ("1.0", "1.0")


def test_a_full_disk_at_the_copy_loads_nothing(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
) -> None:
    monkeypatch.setattr(store.shutil, "copyfile", full_disk)
    with pytest.raises(PromotionError, match="could not be copied"):
        promote(session, archives["2.0"], report=quiet)
    assert server.calls == []
    assert [path.name for path in session.settings.model_store.glob("*2.0*")] == []


def test_an_archive_that_changes_while_it_is_copied_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
) -> None:
    def copy_another(_: Path, target: Path) -> None:
        target.write_bytes(archives["3.0"].read_bytes())

    monkeypatch.setattr(store.shutil, "copyfile", copy_another)
    with pytest.raises(InputError, match="is not the archive that was checked"):
        promote(session, archives["2.0"], report=quiet)
    assert server.calls == []


def test_other_classes_only_where_they_are_meant(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="--allow-class-change"):
        promote(session, archives["3.0"], report=quiet)
    assert server.calls == []
    options = PromotionOptions(allow_class_change=True)
    assert promote(session, archives["3.0"], report=quiet, options=options).live == "3.0"


def test_an_evicted_version_is_drained_before_it_is_unloaded(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet, options=PromotionOptions(keep=0))
    assert server.calls == ["register", "set_default", "drain", "unregister"]
    assert server.loaded == {"2.0"}
    with pytest.raises(InputError, match="no version before it"):
        rollback(session, None, report=quiet)


def test_an_evicted_version_that_cannot_be_unloaded_is_reported(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    server.faults["unregister"] = InternalServerError("busy", status=500)
    sentences: list[str] = []
    promote(session, archives["2.0"], report=sentences.append, options=PromotionOptions(keep=0))
    assert sentences[-1] == "tiny 1.0 stays loaded: busy"
    assert live(session) == "2.0"


def test_a_live_or_absent_version_cannot_be_retired(session: FakeSession) -> None:
    with pytest.raises(InputError, match="is live"):
        retire(session, "tiny", "1.0", report=quiet)
    with pytest.raises(InputError, match=r"not loaded; the loaded versions are: 1\.0"):
        retire(session, "tiny", "7.0", report=quiet)


def test_a_retired_version_is_drained_unloaded_and_no_longer_kept(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    retire(session, "tiny", "1.0", report=quiet)
    assert server.calls[-2:] == ["drain", "unregister"]
    assert read_record(session.settings.model_store)["tiny"].kept == ()


def test_a_second_promotion_is_refused_and_touches_nothing(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    with locked(session.settings.model_store), pytest.raises(BusyError):
        promote(session, archives["2.0"], report=quiet)
    assert server.calls == []


def test_the_gates_are_checked_on_the_loaded_candidate_before_the_switch(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    options = PromotionOptions(gates=Gates(max_p99_ms=60_000.0))
    promote(session, archives["2.0"], report=quiet, options=options)
    asked = [request.version for request in server.requests]
    assert asked.count("2.0") > 200
    assert asked.index(None) > len(asked) - 2


def test_negative_options_are_refused() -> None:
    with pytest.raises(InputError, match="--keep must be 0 or more, not -1"):
        PromotionOptions(keep=-1)
    with pytest.raises(InputError, match=r"--bake must be 0 or more, not -0\.5"):
        PromotionOptions(bake_s=-0.5)


def test_a_model_needs_its_name_only_among_others(
    session: FakeSession, archives: dict[str, Path]
) -> None:
    record = read_record(session.settings.model_store)
    assert choose_model(record, None) == "tiny"
    entry = entry_of(read_archive(archives["1.0"]), why="test")
    others = record | {"other": type(record["tiny"])(live=entry)}
    with pytest.raises(InputError, match="give the name of a live model.*: tiny, other"):
        choose_model(others, None)
    with pytest.raises(InputError, match="no model 'x' is live"):
        choose_model(record, "x")
    with pytest.raises(InputError, match="are: none"):
        choose_model({}, None)
