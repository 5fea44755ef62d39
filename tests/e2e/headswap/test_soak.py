"""Swaps back and forth under load over both transports, a worker killed among them; stopping; retiring."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
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
from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings


def quiet(_: str) -> None:
    pass


def test_a_soak_with_a_killed_worker_loses_nothing(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    plan = Plan(
        archives=(read_archive(archives["1.0"]), read_archive(archives["2.0"])),
        seconds=6, connections=8, transport="both", kill_worker=True,
    )  # fmt: skip
    soaked = soak(served, plan, photos, report=quiet)
    told = soaked.to_dict()
    assert soaked.is_sound, told
    assert told["swaps"] >= 2
    assert told["killed_s"] is not None
    assert set(told["answered_by"]) == {"1.0", "2.0"}
    assert sum(sum(second.values()) for second in told["answers_per_second"]) == told["requests"]


@contextmanager
def asking_for_2(
    served: ServerSettings, photo: bytes, *, after_404_s: float
) -> Iterator[Counter[str]]:
    """Ask for version 2.0 by its number from three threads, `after_404_s` after a 404, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    stopping = threading.Event()

    def ask() -> None:
        with HttpClient(served) as client:
            while not stopping.is_set():
                try:
                    client.predict("clothing", photo, version="2.0", timeout_s=20)
                    outcomes["answered"] += 1
                except NotFoundError:
                    outcomes["404"] += 1
                    stopping.wait(after_404_s)
                except RequestError as error:
                    outcomes[repr(error)] += 1

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        until(lambda: outcomes["answered"] > 20)
        yield outcomes
    finally:
        stopping.set()
        for asker in askers:
            asker.join()


def test_a_version_that_clients_do_not_let_go_of_is_not_unloaded(
    served: ServerSettings, photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "LAST_WORDS_S", 1.0)
    with asking_for_2(served, photos[0], after_404_s=0) as outcomes:
        with pytest.raises(PromotionError, match="keep asking for clothing 2.0"):
            retire(served, "clothing", "2.0", report=quiet)
        assert outcomes["404"] > 10
        answered = outcomes["answered"]
        until(lambda: outcomes["answered"] > answered + 10)
    assert set(outcomes) == {"answered", "404"}


def test_a_retired_version_answers_what_it_has_and_then_404(
    served: ServerSettings, photos: list[bytes]
) -> None:
    with asking_for_2(served, photos[0], after_404_s=2.5) as outcomes:
        retire(served, "clothing", "2.0", report=quiet)
        seen = outcomes["404"]
        until(lambda: outcomes["404"] > seen + 3)
    assert set(outcomes) == {"answered", "404"}


def test_stopping_answers_what_was_accepted(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    outcomes: Counter[str] = Counter()
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        token = read_token(settings.key_file, "inference")
        url = f"{settings.inference_url}/predictions/clothing"

        def ask() -> None:
            while True:
                try:
                    answer = requests.post(
                        url,
                        data=photos[0],
                        headers={"Authorization": f"Bearer {token}"},
                        timeout=30,
                    )
                except requests.ConnectionError as error:
                    outcomes["refused" if "refused" in str(error) else repr(error)] += 1
                    return
                outcomes[str(answer.status_code)] += 1

        askers = [threading.Thread(target=ask) for _ in range(6)]
        for asker in askers:
            asker.start()
        until(lambda: outcomes["200"] > 30)
    for asker in askers:
        asker.join(30)
    assert set(outcomes) == {"200", "refused"}


def until(holds: object, timeout_s: float = 60.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("it did not come to that in time")
        time.sleep(0.02)
