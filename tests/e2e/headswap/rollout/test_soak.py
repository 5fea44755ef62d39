"""Promotions back and forth under load over both transports, with a worker killed; retirement; shutdown."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from serving.archive.reader import read_archive
from serving.client import HttpClient
from serving.client.tokens import read_token
from serving.errors import NotFoundError, PromotionError, RequestError
from serving.loadtest.soak import Plan, soak
from serving.rollout import drain
from serving.rollout.retirement import retire
from serving.rollout.session import ServerSession
from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings


def quiet(_: str) -> None:
    pass


def test_a_soak_with_a_killed_worker_loses_no_request(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    plan = Plan(
        archives=(read_archive(archives["1.0"]), read_archive(archives["2.0"])),
        seconds=6, connections=8, transport="both", kill_worker=True,
    )  # fmt: skip
    result = soak(session, plan, photos, report=quiet)
    figures = result.to_dict()
    assert result.is_sound, figures
    assert figures["swaps"] >= 2
    assert figures["killed_s"] is not None
    assert set(figures["answered_by"]) == {"1.0", "2.0"}
    seconds = figures["answers_per_second"]
    assert sum(sum(second.values()) for second in seconds) == figures["requests"]


@contextmanager
def requesting_2(
    settings: ServerSettings, photo: bytes, *, after_404_s: float
) -> Iterator[Counter[str]]:
    """Request version 2.0 by its number from three threads that pause `after_404_s` after a 404; count the outcomes."""
    outcomes: Counter[str] = Counter()
    stopping = threading.Event()

    def send() -> None:
        with HttpClient(settings) as client:
            while not stopping.is_set():
                try:
                    client.predict("clothing", photo, version="2.0", timeout_s=20)
                    outcomes["answered"] += 1
                except NotFoundError:
                    outcomes["404"] += 1
                    stopping.wait(after_404_s)
                except RequestError as error:
                    outcomes[repr(error)] += 1

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: outcomes["answered"] > 20)
        yield outcomes
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def test_a_version_that_clients_keep_requesting_is_not_unloaded(
    session: ServerSession, photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "QUIET_TIMEOUT_S", 1.0)
    with requesting_2(session.settings, photos[0], after_404_s=0) as outcomes:
        with pytest.raises(PromotionError, match="keep asking for clothing 2.0"):
            retire(session, "clothing", "2.0", report=quiet)
        assert outcomes["404"] > 10
        answered = outcomes["answered"]
        until(lambda: outcomes["answered"] > answered + 10)
    assert set(outcomes) == {"answered", "404"}


def test_a_retired_version_answers_what_it_has_accepted_and_then_404(
    session: ServerSession, photos: list[bytes]
) -> None:
    with requesting_2(session.settings, photos[0], after_404_s=2.5) as outcomes:
        retire(session, "clothing", "2.0", report=quiet)
        rejected = outcomes["404"]
        until(lambda: outcomes["404"] > rejected + 3)
    assert set(outcomes) == {"answered", "404"}


def test_a_server_that_stops_answers_what_it_has_accepted(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    outcomes: Counter[str] = Counter()
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        token = read_token(settings.key_file, "inference")
        url = f"{settings.inference_url}/predictions/clothing"

        def send() -> None:
            while True:
                try:
                    response = requests.post(
                        url,
                        data=photos[0],
                        headers={"Authorization": f"Bearer {token}"},
                        timeout=30,
                    )
                except requests.ConnectionError as error:
                    # Reset before it is accepted, where the port closes meanwhile.
                    is_refused = "Failed to establish a new connection" in str(error)
                    outcomes["refused" if is_refused else repr(error)] += 1
                    return
                outcomes[str(response.status_code)] += 1

        threads = [threading.Thread(target=send) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: outcomes["200"] > 30)
    for thread in threads:
        thread.join(30)
    assert set(outcomes) == {"200", "refused"}


def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not hold within {timeout_s:.0f} s")
        time.sleep(0.02)
