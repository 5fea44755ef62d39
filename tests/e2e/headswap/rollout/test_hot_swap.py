"""Swapping versions of a real server under load: no request is lost, and a promotion that fails changes nothing."""

import json
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.contract import MANIFEST_FILE, MODEL_CARD_FILE, PROBES_FILE
from serving.client import GrpcClient, HttpClient, Prediction
from serving.errors import ArchiveError, BusyError, InputError, PromotionError, ServerError
from serving.loadtest.load import Load
from serving.rollout.live_record import locked, read_record
from serving.rollout.promotion import promote
from serving.rollout.retirement import retire
from serving.rollout.rollback import rollback
from serving.rollout.session import ServerSession
from serving.rollout.startup import choose_live
from serving.rollout.steps import PromotionResult
from serving.server.server import Server
from serving.settings import ServerSettings


def quiet(_: str) -> None:
    """Report nothing."""


def swap_under_load(
    session: ServerSession,
    photos: list[bytes],
    client_class: type,
    swap: Callable[[], PromotionResult],
) -> None:
    with Load(lambda: client_class(session.settings), "clothing", photos) as load:
        load.wait_for_requests(60)
        result = swap()
        load.wait_for_requests(load.result.requests + 150)
    assert load.result.failures == {}
    assert load.result.requests >= 200
    assert set(load.result.answered_by) == {result.live, result.previous}


def predict(session: ServerSession, photo: bytes, version: str | None = None) -> Prediction:
    return session.http.predict("clothing", photo, version=version)


def loaded(session: ServerSession) -> set[str]:
    return set(session.management.versions("clothing"))


def test_promotion_and_rollback_lose_no_request(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    first = predict(session, photos[0])
    swap_under_load(
        session, photos, HttpClient, lambda: promote(session, archives["2.0"], report=quiet)
    )
    second = predict(session, photos[0])
    assert (first.version, second.version) == ("1.0", "2.0")
    assert second == predict(session, photos[0], "2.0")
    swap_under_load(session, photos, GrpcClient, lambda: rollback(session, None, report=quiet))
    assert predict(session, photos[0]) == first
    # Once more: the version kept for the rollback is promoted, not unloaded.
    assert promote(session, archives["2.0"], report=quiet).live == "2.0"
    assert rollback(session, "clothing", report=quiet).live == "1.0"
    assert loaded(session) == {"1.0", "2.0"}


def test_the_live_version_is_not_promoted_again(
    session: ServerSession, archives: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="live already"):
        promote(session, archives["1.0"], report=quiet)


def test_two_promotions_at_once_are_refused(
    session: ServerSession, archives: dict[str, Path]
) -> None:
    with locked(session.settings.model_store), pytest.raises(BusyError):
        promote(session, archives["2.0"], report=quiet)


def test_an_archive_that_cannot_serve_changes_nothing(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes], tmp_path: Path
) -> None:
    before = predict(session, photos[0])
    record = read_record(session.settings.model_store)
    broken = tmp_path / "broken.mar"
    broken.write_bytes(archives["2.0"].read_bytes()[:10_000])
    with pytest.raises(ArchiveError):
        promote(session, broken, report=quiet)
    with pytest.raises(PromotionError, match="nothing has changed"):
        promote(session, with_wrong_probes(archives["2.0"], tmp_path, "3.0"), report=quiet)
    assert read_record(session.settings.model_store) == record
    assert "3.0" not in loaded(session)
    assert predict(session, photos[0]) == before
    wait_for_metric(session, 'handler_load_failures_total{model="clothing",version="3.0"')


def wait_for_metric(session: ServerSession, series: str) -> None:
    """Return once the server shows the series: TorchServe reads what workers print apart from what they answer."""
    deadline = time.monotonic() + 30
    while series not in session.read_metrics():
        assert time.monotonic() < deadline, series


def with_wrong_probes(archive: Path, folder: Path, version: str) -> Path:
    """Return a copy under another version whose probes promise what its network does not compute."""
    target = folder / "wrong-probes.mar"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == PROBES_FILE:
                content = json.loads(data)
                for probe in content["probes"]:
                    probe["probabilities"].reverse()
                data = json.dumps(content).encode()
            if member.filename in (MODEL_CARD_FILE, MANIFEST_FILE):
                data = data.replace(b'"2.0"', f'"{version}"'.encode())
            copy.writestr(member, data)
    return target


def test_a_version_that_is_not_live_is_retired_without_losing_a_request(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    with pytest.raises(InputError, match="is live"):
        retire(session, "clothing", "2.0", report=quiet)
    with Load(lambda: HttpClient(session.settings), "clothing", photos) as load:
        retire(session, "clothing", "1.0", report=quiet)
        load.wait_for_requests(50)
    assert load.result.failures == {}
    assert loaded(session) == {"2.0"}


def test_a_restart_serves_what_was_promoted(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        promote(server.session, archives["2.0"], report=quiet)
    assert not settings.key_file.exists()
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        assert predict(server.session, photos[0]).version == "2.0"
        assert rollback(server.session, None, report=quiet).live == "1.0"


def test_a_changed_archive_is_not_served(
    settings: ServerSettings, archives: dict[str, Path]
) -> None:
    choose_live(settings.model_store, [archives["1.0"]])
    stored = settings.model_store / "clothing-1.0.mar"
    shutil.copyfile(with_wrong_probes(archives["2.0"], settings.model_store, "1.0"), stored)
    with Server(settings) as server, pytest.raises(ArchiveError, match="not what was promoted"):
        server.start()


def test_an_archive_that_refuses_to_serve_stops_the_start_with_its_reason(
    settings: ServerSettings, archives: dict[str, Path], tmp_path: Path
) -> None:
    choose_live(settings.model_store, [with_wrong_probes(archives["2.0"], tmp_path, "2.0")])
    with Server(settings) as server:
        server.start()
        with pytest.raises(ServerError, match="refusing to serve"):
            server.wait_ready()
