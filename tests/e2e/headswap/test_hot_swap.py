"""Swapping versions of a real server under load: nothing is lost, and what fails changes nothing."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from serving.client import GrpcClient, HttpClient, Prediction
from serving.client.http_management import HttpManagement
from serving.errors import ArchiveError, BusyError, InputError, PromotionError, ServerError
from serving.loadtest.load import Load
from serving.rollout.live_record import locked, read_record
from serving.rollout.promotion import PromotionResult, promote, rollback
from serving.rollout.retirement import retire
from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings


def quiet(_: str) -> None:
    pass


def swap_under_load(
    served: ServerSettings,
    photos: list[bytes],
    transport: type,
    swap: Callable[[], PromotionResult],
) -> None:
    with Load(lambda: transport(served), "clothing", photos) as load:
        load.wait_for_requests(60)
        done = swap()
        load.wait_for_requests(load.result.requests + 150)
    assert load.result.failures == {}
    assert load.result.requests >= 200
    assert set(load.result.answered_by) == {done.live, done.previous}


def answer(served: ServerSettings, photo: bytes, version: str | None = None) -> Prediction:
    with HttpClient(served) as client:
        return client.predict("clothing", photo, version=version)


def test_promote_and_roll_back_lose_nothing(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    first = answer(served, photos[0])
    swap_under_load(
        served, photos, HttpClient, lambda: promote(served, archives["2.0"], report=quiet)
    )
    second = answer(served, photos[0])
    assert (first.version, second.version) == ("1.0", "2.0")
    assert second == answer(served, photos[0], "2.0")
    swap_under_load(served, photos, GrpcClient, lambda: rollback(served, None, report=quiet))
    assert answer(served, photos[0]) == first
    # To and fro again: the version kept for the rollback is promoted, not retired.
    assert promote(served, archives["2.0"], report=quiet).live == "2.0"
    assert rollback(served, "clothing", report=quiet).live == "1.0"
    assert set(HttpManagement(served).versions("clothing")) == {"1.0", "2.0"}


def test_same_version_twice_is_refused(served: ServerSettings, archives: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="live already"):
        promote(served, archives["1.0"], report=quiet)


def test_two_promotions_at_once_are_refused(
    served: ServerSettings, archives: dict[str, Path]
) -> None:
    with locked(served.model_store), pytest.raises(BusyError):
        promote(served, archives["2.0"], report=quiet)


def test_an_archive_that_cannot_serve_changes_nothing(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes], tmp_path: Path
) -> None:
    before = answer(served, photos[0])
    record = read_record(served.model_store)
    broken = tmp_path / "broken.mar"
    broken.write_bytes(archives["2.0"].read_bytes()[:10_000])
    with pytest.raises(ArchiveError):
        promote(served, broken, report=quiet)
    with pytest.raises(PromotionError, match="nothing has changed"):
        promote(served, disagreeing(archives["2.0"], tmp_path, "3.0"), report=quiet)
    assert read_record(served.model_store) == record
    assert "3.0" not in HttpManagement(served).versions("clothing")
    assert answer(served, photos[0]) == before
    wait_for_metric(served, 'handler_load_failures_total{model="clothing",version="3.0"')


def wait_for_metric(settings: ServerSettings, series: str) -> None:
    """Return once the server shows it: what a worker prints is read apart from what it answers."""
    deadline = time.monotonic() + 30
    while series not in requests.get(f"{settings.metrics_url}/metrics", timeout=30).text:
        assert time.monotonic() < deadline, series


def disagreeing(archive: Path, folder: Path, version: str) -> Path:
    """Return a copy under another version whose probes promise what its network does not compute."""
    import json
    import zipfile

    target = folder / "disagreeing.mar"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for item in source.infolist():
            data = source.read(item)
            if item.filename == "probes/probes.json":
                told = json.loads(data)
                for probe in told["probes"]:
                    probe["probabilities"].reverse()
                data = json.dumps(told).encode()
            if item.filename in ("model_card.json", "MAR-INF/MANIFEST.json"):
                data = data.replace(b'"2.0"', f'"{version}"'.encode())
            copy.writestr(item, data)
    return target


def test_retire_unloads_what_is_not_live(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    promote(served, archives["2.0"], report=quiet)
    with pytest.raises(InputError, match="is live"):
        retire(served, "clothing", "2.0", report=quiet)
    with Load(lambda: HttpClient(served), "clothing", photos) as load:
        retire(served, "clothing", "1.0", report=quiet)
        load.wait_for_requests(50)
    assert load.result.failures == {}
    assert set(HttpManagement(served).versions("clothing")) == {"2.0"}


def test_a_restart_keeps_what_was_promoted(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        promote(settings, archives["2.0"], report=quiet)
    assert not settings.key_file.exists()
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        assert answer(settings, photos[0]).version == "2.0"
        assert rollback(settings, None, report=quiet).live == "1.0"


def test_a_changed_archive_is_not_served(
    settings: ServerSettings, archives: dict[str, Path]
) -> None:
    choose_live(settings.model_store, [archives["1.0"]])
    stored = settings.model_store / "clothing-1.0.mar"
    shutil.copyfile(disagreeing(archives["2.0"], settings.model_store, "1.0"), stored)
    with Server(settings) as server, pytest.raises(ArchiveError, match="not what was promoted"):
        server.start()


def test_an_archive_that_refuses_to_serve_stops_the_start_with_its_reason(
    settings: ServerSettings, archives: dict[str, Path], tmp_path: Path
) -> None:
    choose_live(settings.model_store, [disagreeing(archives["2.0"], tmp_path, "2.0")])
    with Server(settings) as server:
        server.start()
        with pytest.raises(ServerError, match="refusing to serve"):
            server.wait_ready()
