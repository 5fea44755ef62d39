"""Clients that break off, dawdle, lie or send rubbish: no worker restarts, others' answers stay right to the bit."""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from serving import stubs
from serving.client import HttpClient
from serving.client.endpoint import grpc_endpoint
from serving.client.grpc_channel import metadata_of, open_channel
from serving.client.http_management import HttpManagement
from serving.client.tokens import read_token
from serving.loadtest.load import Load
from serving.settings import ServerSettings

LIMIT_S = 30.0
CANCELLED_CALLS = 200
DROPPED_CONNECTIONS = 100
BROKEN_PHOTOS = 400


def worker_pids(steady: ServerSettings) -> set[int]:
    return set(HttpManagement(steady).versions("clothing")["1.0"].ready_pids)


@contextmanager
def unharmed(
    steady: ServerSettings, photos: list[bytes], *, same_workers: bool = True
) -> Iterator[None]:
    """Hold the server to its promises while the body does harm: same workers, same answers, no good request lost."""
    pids = worker_pids(steady)
    with HttpClient(steady) as client:
        before = list(client.predict_many("clothing", photos))
        with Load(lambda: HttpClient(steady), "clothing", photos) as load:
            load.wait_for_requests(10)
            yield
            load.wait_for_requests(load.result.requests + 40)
        assert load.result.failures == {}
        assert list(client.predict_many("clothing", photos)) == before
    deadline = time.monotonic() + 2 * LIMIT_S
    while len(worker_pids(steady)) < len(pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    found = worker_pids(steady)
    assert found == pids if same_workers else len(found) == len(pids)


def test_cancelled_grpc_calls_harm_nobody(steady: ServerSettings, photos: list[bytes]) -> None:
    messages, calls = stubs.load("inference")
    endpoint = grpc_endpoint(steady, "inference")
    metadata = metadata_of(read_token(steady.key_file, "inference"))
    moments = random.Random(0)
    # TorchServe restarts a worker when a call is cancelled between its check and its answer (docs/limits.md).
    with unharmed(steady, photos, same_workers=False), open_channel(endpoint) as channel:
        predictions = calls.InferenceAPIsServiceStub(channel).Predictions
        cancelled = 0
        for number in range(CANCELLED_CALLS):
            request = messages.PredictionsRequest(
                model_name="clothing", input={"data": photos[number % len(photos)]}
            )
            call = predictions.future(request, timeout=LIMIT_S, metadata=metadata)
            # Before it is sent, in the queue, in the worker, nearly answered.
            time.sleep(moments.uniform(0, 0.03))
            cancelled += call.cancel()
        # Those that had an answer already cannot be cancelled any more.
        assert cancelled > CANCELLED_CALLS / 4


@pytest.fixture
def connect(steady: ServerSettings) -> Iterator[Callable[[], socket.socket]]:
    parts = urlsplit(steady.inference_url)
    opened: list[socket.socket] = []

    def open_one() -> socket.socket:
        opened.append(socket.create_connection((parts.hostname, parts.port), timeout=LIMIT_S))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def head(steady: ServerSettings, *lengths: str) -> bytes:
    lines = [
        "POST /predictions/clothing HTTP/1.1",
        "Host: headswap",
        f"Authorization: Bearer {read_token(steady.key_file, 'inference')}",
        "Content-Type: application/octet-stream",
        *(f"Content-Length: {length}" for length in lengths),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_connections_dropped_in_mid_body_restart_no_worker(
    steady: ServerSettings, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    cuts = random.Random(0)
    with unharmed(steady, photos):
        for number in range(DROPPED_CONNECTIONS):
            photo = photos[number % len(photos)]
            with connect() as connection:
                connection.sendall(head(steady, str(len(photo))))
                connection.sendall(photo[: cuts.randrange(len(photo))])
                if number % 2:
                    # A reset instead of an orderly end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_slow_bodies_hold_up_nobody_and_are_answered(
    steady: ServerSettings, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    photo, pieces = photos[0], 20
    size = len(photo) // pieces + 1
    with unharmed(steady, photos):
        slow = [connect() for _ in range(20)]
        for connection in slow:
            connection.sendall(head(steady, str(len(photo))))
        for start in range(0, len(photo), size):
            for connection in slow:
                connection.sendall(photo[start : start + size])
            time.sleep(0.05)
        for connection in slow:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_wrong_lengths_restart_no_worker(
    steady: ServerSettings, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    photo = photos[0]
    too_short, huge = str(len(photo) // 2), "9" * 30
    lies = [(too_short,), ("0",), ("-1",), ("many",), ("",), (huge,), (too_short, "7"), ("0x10",)]
    with unharmed(steady, photos):
        for lengths in lies:
            connection = connect()
            connection.sendall(head(steady, *lengths))
            try:
                connection.sendall(photo)
                answer = connection.recv(12)
            except ConnectionError:
                continue
            assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 5")), (lengths, answer)
        # More promised than sent: the server waits for the rest until the client goes.
        connection = connect()
        connection.sendall(head(steady, str(len(photo) + 1000)) + photo)


def broken(photo: bytes, chance: random.Random) -> bytes:
    """Return the photo cut short, with bytes changed, or with bytes put in or left out."""
    data = bytearray(photo)
    place = chance.randrange(len(data))
    kind = chance.randrange(4)
    if kind == 0:
        del data[place:]
    elif kind == 1:
        for _ in range(chance.choice([1, 4, 64])):
            # The first bytes are the ones that lie best: markers, dimensions, tables.
            data[int(len(data) * chance.random() ** 4)] = chance.randrange(256)
    elif kind == 2:
        data[place:place] = chance.randbytes(chance.randrange(1, 64))
    else:
        del data[place : place + chance.randrange(1, 64)]
    return bytes(data)


def test_broken_photos_get_an_answer_each_and_restart_no_worker(
    steady: ServerSettings, photos: list[bytes]
) -> None:
    chance = random.Random(0)
    answers: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {read_token(steady.key_file, 'inference')}"}
    with unharmed(steady, photos), requests.Session() as session:
        for number in range(BROKEN_PHOTOS):
            answer = session.post(
                f"{steady.inference_url}/predictions/clothing",
                data=broken(photos[number % len(photos)], chance),
                headers=headers,
                timeout=LIMIT_S,
            )
            assert answer.status_code == 200 or answer.json()["error"]["code"]
            answers[answer.status_code] += 1
    assert set(answers) <= {200, 400, 413, 415}
    assert answers[200]
    assert answers[400]


def test_who_waited_too_long_is_told_so_and_not_computed(
    steady: ServerSettings, photos: list[bytes]
) -> None:
    headers = {
        "Authorization": f"Bearer {read_token(steady.key_file, 'inference')}",
        "X-Request-Deadline-Ms": "1",
    }
    with unharmed(steady, photos):
        # The proxy before us took the request in 50 ms ago; whatever the queue adds comes on top.
        headers["X-Request-Start"] = f"t={time.time() - 0.05:.3f}"
        late = requests.post(
            f"{steady.inference_url}/predictions/clothing",
            data=photos[0],
            headers=headers,
            timeout=LIMIT_S,
        )
    assert late.status_code == 504
    assert late.json()["error"]["code"] == "deadline_exceeded"
    assert "not classified" in late.json()["error"]["message"]
