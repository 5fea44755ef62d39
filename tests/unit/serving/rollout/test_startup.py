"""Which version of each model is live when a server starts, and what is left of an interrupted promotion."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import ForeignCodeError, InputError
from serving.rollout import leftovers, startup
from serving.rollout.live_record import open_entry, read_record
from serving.rollout.startup import choose_live, discard_interrupted_promotion
from serving.rollout.trust import Trust

TRUSTED = Trust(allow_custom_handler=True)
Maker = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def archive_of(archive_maker: Maker, version: str) -> Path:
    card = {"name": "tiny", "version": version, "class_names": ["cat", "dog"]}
    return archive_maker(
        f"tiny-{version}.mar",
        model={"modelVersion": version},
        files={"model_card.json": json.dumps(card).encode()},
    )


def test_a_given_archive_is_copied_into_the_store_and_live(archive_maker: Maker, store: Path):
    path = archive_of(archive_maker, "1.0")
    choose_live(store, [path], trust=TRUSTED)
    assert read_record(store)["tiny"].live.version == "1.0"
    assert (store / path.name).read_bytes() == path.read_bytes()


def test_another_given_version_takes_over_and_keeps_the_one_before(
    archive_maker: Maker, store: Path
):
    for version in ("1.0", "2.0"):
        choose_live(store, [archive_of(archive_maker, version)], trust=TRUSTED)
    deployment = read_record(store)["tiny"]
    assert deployment.live.version == "2.0"
    assert [entry.version for entry in deployment.kept] == ["1.0"]


def test_the_record_is_followed_if_no_archive_is_given(archive_maker: Maker, store: Path):
    choose_live(store, [archive_of(archive_maker, "1.0")], trust=TRUSTED)
    archive_of(archive_maker, "2.0").rename(store / "tiny-2.0.mar")
    choose_live(store, [], trust=TRUSTED)
    assert read_record(store)["tiny"].live.version == "1.0"


def test_without_a_record_a_models_only_archive_is_live(archive_maker: Maker, store: Path):
    archive_of(archive_maker, "1.0").rename(store / "tiny-1.0.mar")
    choose_live(store, [], trust=TRUSTED)
    assert read_record(store)["tiny"].live.why == "only version in the store"


def test_without_a_record_several_versions_are_rejected(archive_maker: Maker, store: Path):
    for version in ("1.0", "2.0"):
        archive_of(archive_maker, version).rename(store / f"tiny-{version}.mar")
    with pytest.raises(InputError, match=r"tiny has 2 versions.*tiny-1\.0\.mar.*tiny-2\.0\.mar"):
        choose_live(store, [], trust=TRUSTED)
    assert read_record(store) == {}


def test_an_empty_store_is_rejected(store: Path):
    with pytest.raises(InputError, match="holds no archive"):
        choose_live(store, [])


def test_foreign_code_is_rejected(archive_maker: Maker, store: Path):
    path = archive_maker(files={"extra.py": b"print('hello')"})
    with pytest.raises(ForeignCodeError):
        choose_live(store, [path])
    assert read_record(store) == {}


def refuse(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


def written_at(store: Path) -> tuple[int, int]:
    """Inode and time of the last write; reading a file changes its access time, and may."""
    status = (store / "live.json").stat()
    return status.st_ino, status.st_mtime_ns


@pytest.mark.parametrize("is_named", [True, False])
def test_a_restart_writes_nothing_where_nothing_changes(
    archive_maker: Maker, store: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
):
    archive = archive_of(archive_maker, "1.0")
    choose_live(store, [archive], trust=TRUSTED)
    before = written_at(store)
    monkeypatch.setattr(startup, "write_record", refuse)
    choose_live(store, [archive] if is_named else [], trust=TRUSTED)
    assert written_at(store) == before


def test_a_store_that_cannot_be_written_is_named_when_what_is_live_changes(
    archive_maker: Maker, store: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(startup, "write_record", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"):
        choose_live(store, [archive_of(archive_maker, "1.0")], trust=TRUSTED)


def test_leftovers_that_cannot_be_removed_hinder_no_start(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    (store / ".tiny-2.0.mar.part").write_bytes(b"half")
    monkeypatch.setattr(leftovers, "LEFTOVER_AFTER_S", 0)
    monkeypatch.setattr(Path, "unlink", refuse)
    discard_interrupted_promotion(store)


def test_a_models_only_archive_is_live_under_any_name_and_beside_a_copy(
    archive_maker: Maker, store: Path
):
    path = archive_of(archive_maker, "1.0").rename(store / "clothes.mar")
    (store / "clothes (copy).mar").write_bytes(path.read_bytes())
    choose_live(store, [], trust=TRUSTED)
    live = read_record(store)["tiny"].live
    assert (live.version, live.archive) == ("1.0", "clothes (copy).mar")
    assert open_entry(store, live, model="tiny").version == "1.0"


def test_incomplete_copies_are_removed(store: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leftovers, "LEFTOVER_AFTER_S", 0)
    (store / ".tiny-2.0.mar.part").write_bytes(b"half")
    discard_interrupted_promotion(store)
    assert not list(store.glob("*.part"))
    assert not list(store.glob(".*.part"))
