"""Versions kept for a rollback are loaded after a restart; one that is gone is said, and keeps nothing else back."""

from pathlib import Path

from serving.errors import InternalServerError
from serving.rollout.live_record import FILE_NAME
from serving.rollout.promotion import PromotionOptions, promote
from serving.rollout.startup import load_kept
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe, quiet


def restarted(server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]) -> None:
    for version in ("2.0", "3.0"):
        promote(
            session,
            archives[version],
            options=PromotionOptions(keep=2, allow_class_change=True),
            report=quiet,
        )
    server.loaded = {"3.0"}
    server.calls.clear()


def test_every_kept_version_is_loaded(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    restarted(server, session, archives)
    assert load_kept(session) == []
    assert server.loaded == {"1.0", "2.0", "3.0"}
    assert load_kept(session) == []
    assert server.calls == ["register", "register"]


def test_a_missing_archive_is_said_and_the_others_are_loaded(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    restarted(server, session, archives)
    missing = session.settings.model_store / "tiny-2.0.mar"
    missing.unlink()
    (sentence,) = load_kept(session)
    assert sentence.startswith("tiny 2.0, kept for a rollback, is not loaded: ")
    assert f"there is no archive {missing}" in sentence
    assert server.loaded == {"1.0", "3.0"}


def test_what_torchserve_refuses_is_said(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    restarted(server, session, archives)
    server.faults["register"] = InternalServerError("no memory", status=500)
    assert [sentence.partition(": ")[2] for sentence in load_kept(session)] == ["no memory"] * 2


def test_a_damaged_record_is_said(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    restarted(server, session, archives)
    (session.settings.model_store / FILE_NAME).write_text("{")
    (sentence,) = load_kept(session)
    assert "live.json cannot be read" in sentence
