"""Swaps back and forth under load over both transports, a worker killed among them; stopping; retiring."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from serving.archive import read_archive
from serving.client import HttpClient
from serving.errors import NotFoundError, RequestError
from serving.retirement import retire
from serving.server import Server, choose_live
from serving.settings import ServerSettings
from serving.soak import Plan, soak
from serving.tokens import read_token


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


def test_a_retired_version_answers_what_it_has_and_then_404(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    outcomes: Counter[str] = Counter()
    stopping = threading.Event()

    def ask_for_2() -> None:
        with HttpClient(served) as client:
            while not stopping.is_set():
                try:
                    client.predict("clothing", photos[0], version="2.0", timeout_s=20)
                    outcomes["answered"] += 1
                except NotFoundError:
                    outcomes["404"] += 1
                except RequestError as error:
                    outcomes[repr(error)] += 1

    askers = [threading.Thread(target=ask_for_2) for _ in range(3)]
    for asker in askers:
        asker.start()
    until(lambda: outcomes["answered"] > 20)
    retire(served, "clothing", "2.0", report=quiet)
    seen = outcomes["404"]
    until(lambda: outcomes["404"] > seen + 10)
    stopping.set()
    for asker in askers:
        asker.join()
    assert set(outcomes) == {"answered", "404"}


def test_stopping_answers_what_was_accepted(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    outcomes: Counter[str] = Counter()
    choose_live(settings, [archives["1.0"]])
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
