"""Three versions of one model, the first of them live on a TorchServe in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving.archive.reader import read_archive
from serving.rollout import drain
from serving.rollout.live_record import Deployment, entry_of, write_record
from serving.rollout.store import install
from serving.settings import ServerSettings
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe


@pytest.fixture
def archives(archive_maker: Callable[..., Path]) -> dict[str, Path]:
    def make(version: str, class_names: tuple[str, ...] = ("cat", "dog")) -> Path:
        card = {"name": "tiny", "version": version, "class_names": class_names}
        return archive_maker(
            f"tiny-{version}.mar",
            files={"model_card.json": json.dumps(card).encode()},
            model={"modelVersion": version},
        )

    return {"1.0": make("1.0"), "2.0": make("2.0"), "3.0": make("3.0", ("cat", "cow"))}


@pytest.fixture
def settings(
    settings_of: Callable[..., ServerSettings], archives: dict[str, Path]
) -> ServerSettings:
    settings = settings_of()
    settings.model_store.mkdir(parents=True, exist_ok=True)
    live = install(read_archive(archives["1.0"]), settings.model_store)
    write_record(settings.model_store, {"tiny": Deployment(live=entry_of(live, why="test"))})
    return settings


@pytest.fixture
def server(archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> FakeTorchServe:
    fake = FakeTorchServe({version: read_archive(path) for version, path in archives.items()})

    @contextmanager
    def drained(*_: Any, **__: Any) -> Iterator[bool]:
        # Its workers are not real processes, so their folder cannot be read; test_drain.py has real ones.
        fake.calls.append("drain")
        yield True

    monkeypatch.setattr(drain, "drain", drained)
    return fake


@pytest.fixture
def session(server: FakeTorchServe, settings: ServerSettings) -> FakeSession:
    return server.session(settings)
