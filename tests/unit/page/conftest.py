"""The page over a TorchServe in memory, by HTTP and in a real browser."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from page.app import create_app
from page.context import PageContext
from serving.archive.reader import read_archive
from serving.rollout.session import Report
from serving.settings import ServerSettings
from tests.unit.page.helpers import HOSTILE_CLASS, ORIGIN, PageServer, sign_in
from tests.unit.serving.rollout.conftest import settings  # noqa: F401


@pytest.fixture
def archives(archive_maker: Callable[..., Path]) -> dict[str, Path]:
    """Return archives whose first class has the name of an attack."""

    def make(version: str) -> Path:
        card = {"name": "tiny", "version": version, "class_names": (HOSTILE_CLASS, "dog")}
        return archive_maker(
            f"tiny-{version}.mar",
            files={"model_card.json": json.dumps(card).encode()},
            model={"modelVersion": version},
        )

    return {version: make(version) for version in ("1.0", "2.0")}


@pytest.fixture
def server(archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> PageServer:
    from serving.rollout import drain

    @contextmanager
    def drained(*_: object, **__: object) -> Iterator[bool]:
        # Its workers are not real processes; tests/unit/serving/rollout/test_drain.py has real ones.
        yield True

    monkeypatch.setattr(drain, "drain", drained)
    return PageServer({version: read_archive(path) for version, path in archives.items()})


@pytest.fixture
def log() -> list[tuple[str, str | None, str]]:
    """Return what was logged: command, subject and step."""
    return []


@pytest.fixture
def context(
    server: PageServer,
    settings: ServerSettings,  # noqa: F811
    key_file_writer: Callable[..., None],
    archives: dict[str, Path],
    log: list[tuple[str, str | None, str]],
) -> PageContext:
    key_file_writer(settings.key_file, inference="infer", expires="2999-01-01T00:00:00Z")
    second = settings.model_store / "tiny-2.0.mar"
    second.write_bytes(archives["2.0"].read_bytes())

    @contextmanager
    def open_log(command: str, subject: str | None) -> Iterator[Report]:
        yield lambda step: log.append((command, subject, step))

    return PageContext(
        settings=settings, open_session=lambda: server.session(settings), open_log=open_log
    )


@pytest.fixture
def client(context: PageContext) -> Iterator[TestClient]:
    """Yield a client that is not signed in."""
    with TestClient(
        create_app(context), base_url=ORIGIN, follow_redirects=False, client=("127.0.0.1", 1)
    ) as client:
        yield client


@pytest.fixture
def manager(client: TestClient) -> TestClient:
    """Return a client signed in with the management token, which sends Origin and the CSRF token."""
    return sign_in(client, "manage")
