"""Clients that cancel, disconnect, send slowly, lie or send garbage: no worker restarts, all others are answered."""

import io
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from serving import stubs
from serving.client import HttpClient, Prediction, map_in_order
from serving.client.grpc_channel import metadata_of, open_channel
from serving.loadtest.load import Load
from tests.e2e.headswap.engine import Engine

TIMEOUT_S = 30.0
CANCELLED_CALLS = 200
DROPPED_CONNECTIONS = 100
BROKEN_PHOTOS = 400
# Above the queue's 100 and what the two workers or replicas hold.
CONNECTIONS_AT_ONCE = 300


def predict_all(client: HttpClient, photos: list[bytes]) -> list[Prediction | Exception]:
    return list(map_in_order(lambda photo: client.predict("clothing", photo), photos, in_flight=8))


@contextmanager
def unharmed(engine: Engine, photos: list[bytes], *, same_workers: bool = True) -> Iterator[None]:
    """Check that what the block does costs no worker, changes no prediction and loses no other client's request."""
    pids = engine.worker_pids()
    with engine.client(HttpClient) as client:
        before = predict_all(client, photos)
        with Load(lambda: engine.client(HttpClient), "clothing", photos) as load:
            load.wait_for_requests(10)
            yield
            load.wait_for_requests(load.result.requests + 40)
        assert load.result.failures == {}
        assert predict_all(client, photos) == before
    deadline = time.monotonic() + 2 * TIMEOUT_S
    while len(engine.worker_pids()) < len(pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    pids_now = engine.worker_pids()
    assert pids_now == pids if same_workers else len(pids_now) == len(pids)


def test_cancelled_grpc_calls_affect_no_other_client(engine: Engine, photos: list[bytes]) -> None:
    messages, calls = stubs.load("inference")
    endpoint = engine.endpoint("grpc")
    metadata = metadata_of(engine.token())
    delays = random.Random(0)
    # TorchServe restarts a worker when a call is cancelled between its check and its answer (docs/limits.md).
    with unharmed(engine, photos, same_workers=False), open_channel(endpoint) as channel:
        predictions = calls.InferenceAPIsServiceStub(channel).Predictions
        cancelled = 0
        for number in range(CANCELLED_CALLS):
            request = messages.PredictionsRequest(
                model_name="clothing", input={"data": photos[number % len(photos)]}
            )
            call = predictions.future(request, timeout=TIMEOUT_S, metadata=metadata)
            # Before it is sent, in the queue, in the worker, or nearly answered.
            time.sleep(delays.uniform(0, 0.03))
            cancelled += call.cancel()
        # Calls that were answered already can no longer be cancelled.
        assert cancelled > CANCELLED_CALLS / 4


@pytest.fixture
def connect(engine: Engine) -> Iterator[Callable[[], socket.socket]]:
    parts = urlsplit(engine.inference_url)
    connections: list[socket.socket] = []

    def open_connection() -> socket.socket:
        connections.append(
            socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
        )
        return connections[-1]

    yield open_connection
    for connection in connections:
        connection.close()


def request_head(engine: Engine, *lengths: str) -> bytes:
    lines = [
        "POST /predictions/clothing HTTP/1.1",
        "Host: headswap",
        f"Authorization: Bearer {engine.token()}",
        "Content-Type: application/octet-stream",
        *(f"Content-Length: {length}" for length in lengths),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_connections_dropped_within_the_body_restart_no_worker(
    engine: Engine, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    cuts = random.Random(0)
    with unharmed(engine, photos):
        for number in range(DROPPED_CONNECTIONS):
            photo = photos[number % len(photos)]
            with connect() as connection:
                connection.sendall(request_head(engine, str(len(photo))))
                connection.sendall(photo[: cuts.randrange(len(photo))])
                if number % 2:
                    # SO_LINGER of 0 s: a reset instead of an orderly end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_slow_requests_are_answered_and_block_no_other_client(
    engine: Engine, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    photo, pieces = photos[0], 20
    size = len(photo) // pieces + 1
    with unharmed(engine, photos):
        slow = [connect() for _ in range(20)]
        for connection in slow:
            connection.sendall(request_head(engine, str(len(photo))))
        for start in range(0, len(photo), size):
            for connection in slow:
                connection.sendall(photo[start : start + size])
            time.sleep(0.05)
        for connection in slow:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_wrong_lengths_restart_no_worker(
    engine: Engine, photos: list[bytes], connect: Callable[[], socket.socket]
) -> None:
    photo = photos[0]
    too_short, huge = str(len(photo) // 2), "9" * 30
    wrong_lengths = [
        (too_short,),
        ("0",),
        ("-1",),
        ("many",),
        ("",),
        (huge,),
        (too_short, "7"),
        ("0x10",),
    ]
    with unharmed(engine, photos):
        for lengths in wrong_lengths:
            connection = connect()
            connection.sendall(request_head(engine, *lengths))
            try:
                connection.sendall(photo)
                status = connection.recv(12)
            except ConnectionError:
                continue
            assert not status.startswith((b"HTTP/1.1 200", b"HTTP/1.1 5")), (lengths, status)
        # Shorter than its length: the server waits for the rest until the client disconnects.
        connection = connect()
        connection.sendall(request_head(engine, str(len(photo) + 1000)) + photo)


def broken(photo: bytes, rng: random.Random) -> bytes:
    """Return the photo truncated, with bytes changed, inserted or removed."""
    data = bytearray(photo)
    position = rng.randrange(len(data))
    kind = rng.randrange(4)
    if kind == 0:
        del data[position:]
    elif kind == 1:
        for _ in range(rng.choice([1, 4, 64])):
            # Mostly the first bytes, which matter most: markers, dimensions, tables.
            data[int(len(data) * rng.random() ** 4)] = rng.randrange(256)
    elif kind == 2:
        data[position:position] = rng.randbytes(rng.randrange(1, 64))
    else:
        del data[position : position + rng.randrange(1, 64)]
    return bytes(data)


def test_broken_photos_are_answered_and_restart_no_worker(
    engine: Engine, photos: list[bytes]
) -> None:
    rng = random.Random(0)
    statuses: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {engine.token()}"}
    with unharmed(engine, photos), requests.Session() as session:
        for number in range(BROKEN_PHOTOS):
            response = session.post(
                f"{engine.inference_url}/predictions/clothing",
                data=broken(photos[number % len(photos)], rng),
                headers=headers,
                timeout=TIMEOUT_S,
            )
            assert response.status_code == 200 or response.json()["error"]["code"]
            statuses[response.status_code] += 1
    assert set(statuses) <= {200, 400, 413, 415}
    assert statuses[200]
    assert statuses[400]


def test_a_request_past_its_deadline_is_rejected_without_inference(
    engine: Engine, photos: list[bytes]
) -> None:
    headers = {
        "Authorization": f"Bearer {engine.token()}",
        "X-Request-Deadline-Ms": "1",
    }
    with unharmed(engine, photos):
        # As if a proxy had received the request 50 ms ago; time in the queue is added.
        headers["X-Request-Start"] = f"t={time.time() - 0.05:.3f}"
        late = requests.post(
            f"{engine.inference_url}/predictions/clothing",
            data=photos[0],
            headers=headers,
            timeout=TIMEOUT_S,
        )
    assert late.status_code == 504
    assert late.json()["error"]["code"] == "deadline_exceeded"
    assert "not classified" in late.json()["error"]["message"]


def test_a_full_queue_is_said_at_once_and_loses_nothing(
    engine: Engine, photos: list[bytes]
) -> None:
    url, headers = f"{engine.inference_url}/predictions/clothing", engine.authorization()
    # 9 megapixels that no decoder scales down: the requests come faster than they are answered, whatever the machine.
    slow = io.BytesIO()
    Image.new("RGB", (3000, 3000), "teal").save(slow, "PNG")

    def post(_: int) -> requests.Response:
        return requests.post(url, data=slow.getvalue(), headers=headers, timeout=4 * TIMEOUT_S)

    with ThreadPoolExecutor(CONNECTIONS_AT_ONCE) as pool:
        answers = list(pool.map(post, range(CONNECTIONS_AT_ONCE)))
    rejected = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert {answer.json()["type"] for answer in rejected} == {"ServiceUnavailableException"}
    if engine.name == "ray":
        assert {answer.headers["Retry-After"] for answer in rejected} == {"1"}
    with unharmed(engine, photos):
        pass
