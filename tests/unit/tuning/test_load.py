"""The load generator, against a server of a few lines that answers after a known time."""

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from serving.errors import ServerError
from tuning.errors import InputError, TuningError
from tuning.load import LOST, Target, ask_each, closed_loop, open_loop
from tuning.measuring import LARGEST_PHOTO_COUNT, Measurer, only_good, pick_photos
from tuning.serving_config import ServingConfig

ANSWER_S = 0.02
PHOTOS = (b"one", b"another")
SETTING = ServingConfig(workers=2, threads=1, batch_size=4, max_delay_ms=1)


class Answering(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.read_head():
            assert "Authorization: Bearer secret" in head
            body = self.rfile.read(int(head.lower().split("content-length:")[1].split()[0]))
            with self.server.places:
                time.sleep(ANSWER_S)
            code = self.server.status(body)
            if code == LOST:
                return
            self.wfile.write(f"HTTP/1.1 {code} Word\r\nContent-Length: 2\r\n\r\nok".encode())

    def read_head(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            lines.append(line.decode())
        return "".join(lines)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up in mid-answer is no error of this server's."""


@contextmanager
def serving(
    *, workers: int = 100, status: Callable[[bytes], int] = lambda body: 200
) -> Iterator[Target]:
    """Yield the address of a server that needs 20 ms for an answer and gives `workers` of them at once."""
    with Server(("127.0.0.1", 0), Answering) as server:
        server.places, server.status = threading.Semaphore(workers), status
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        yield Target(host="127.0.0.1", port=port, path="/predictions/x", token="secret")
        server.shutdown()


def test_a_closed_loop_keeps_its_connections_busy():
    with serving() as target:
        seen = closed_loop(target, PHOTOS, connections=4, seconds=0.4, warm_up_s=0.1)
    # 4 connections of 20 ms each make 200 a second; a busy machine makes fewer, never more.
    assert 40 <= seen.per_s <= 205
    assert seen.p(0.5) >= 1e3 * ANSWER_S * 0.95
    assert seen.failed == 0


def test_a_closed_loop_waits_where_the_server_has_one_place():
    with serving(workers=1) as target:
        seen = closed_loop(target, PHOTOS, connections=4, seconds=0.4)
    assert seen.per_s <= 52
    assert seen.p(0.9) >= 3 * 1e3 * ANSWER_S


def test_a_connection_that_pauses_asks_less():
    with serving() as target:
        seen = closed_loop(target, PHOTOS, connections=1, seconds=0.5, pause_s=0.1)
    assert 1 <= len(seen.latencies_ms) <= 5
    # The pause is no latency.
    assert min(seen.latencies_ms) < 100


def test_an_open_loop_asks_when_it_is_due_and_counts_from_then():
    with serving(workers=1) as target:
        began = time.perf_counter()
        seen = open_loop(target, PHOTOS, rate_per_s=100, seconds=0.4, seed=1)
    # Twice what the server can: everything is asked all the same, and the last waits for all before it.
    assert 20 <= len(seen.latencies_ms) <= 70
    assert time.perf_counter() - began >= len(seen.latencies_ms) * ANSWER_S * 0.95
    assert seen.p(0.99) >= 1e3 * (len(seen.latencies_ms) * ANSWER_S - 0.4) * 0.8


def test_arrivals_are_the_same_for_the_same_seed():
    with serving() as target:
        first, again, other = (
            len(open_loop(target, PHOTOS, rate_per_s=80, seconds=0.2, seed=seed).latencies_ms)
            for seed in (1, 1, 3)
        )
    assert first == again
    assert first != other


def test_refusals_and_broken_connections_are_failures():
    with serving(status=lambda body: 503 if body == b"one" else 200) as target:
        assert ask_each(target, PHOTOS) == [503, 200]
        seen = closed_loop(target, PHOTOS, connections=1, seconds=0.2)
    assert seen.failed >= 1
    assert seen.latencies_ms
    with serving(status=lambda body: LOST if body == b"one" else 200) as target:
        assert ask_each(target, PHOTOS) == [LOST, 200]


def test_a_server_that_is_gone_loses_everything_and_is_not_hammered():
    with serving() as target:
        pass
    seen = closed_loop(target, PHOTOS, connections=1, seconds=0.3)
    assert seen.per_s == 0
    assert 1 <= seen.failed <= 7


def test_no_answer_in_time_says_so():
    with serving() as target, pytest.raises(TuningError, match="no request was answered within"):
        closed_loop(target, PHOTOS, connections=1, seconds=0.005)


class Trial:
    """A trial server that serves everything alike, and of which nothing is left after `fault`."""

    def __init__(self, target: Target, fault: Exception | None = None) -> None:
        self.loaded: list[ServingConfig] = []
        self._target, self._fault = target, fault

    def load(self, setting: ServingConfig) -> None:
        self.loaded.append(setting)
        if self._fault is not None:
            raise self._fault

    def target(self) -> Target:
        return self._target

    def memory_mb(self) -> float:
        return 500.0


def measurer_of(trial: Trial, **wish) -> Measurer:
    return Measurer(
        server=trial, photos=PHOTOS, connections=(1, 2, 4), level_s=0.1, is_warm=True, **wish
    )


def test_photos_that_are_refused_are_left_out_and_nothing_but_those_is_refused():
    with serving(status=lambda body: 400 if body == b"one" else 200) as target:
        assert only_good(Trial(target), PHOTOS) == [b"another"]
        with pytest.raises(InputError, match=r"none of 1 photos was answered \(HTTP \[400\]\)"):
            only_good(Trial(target), [b"one"])


def test_of_many_photos_some_are_picked_all_over():
    picked = pick_photos(range(1000))
    assert len(picked) == LARGEST_PHOTO_COUNT
    assert picked[-1] > 980
    assert pick_photos([1, 2]) == [1, 2]


def test_without_a_bound_a_quick_look_is_one_level_and_a_thorough_one_all():
    with serving() as target:
        measurer = measurer_of(Trial(target))
        assert [one.connections for one in measurer.quick(SETTING).levels] == [4]
        assert [one.connections for one in measurer.thorough(SETTING).levels] == [1, 2, 4]


def test_with_a_bound_a_look_ends_where_it_is_passed():
    with serving(workers=1) as target:
        late = measurer_of(Trial(target), max_p99_ms=30.0).quick(SETTING)
        # Two connections to one place wait 40 ms; one alone is tried then.
        assert [one.connections for one in late.levels] == [1, 2]
        soon = measurer_of(Trial(target), max_p99_ms=5000.0).quick(SETTING)
        assert [one.connections for one in soon.levels] == [2, 4]


def test_what_cannot_be_served_or_would_not_fit_is_a_fault():
    with serving() as target:
        refused = measurer_of(Trial(target, fault=ServerError("it does not start"))).quick(SETTING)
        assert refused.fault == "it does not start"
        trial = Trial(target)
        large = measurer_of(trial, worker_mb=1e9).quick(SETTING)
        assert "MB more than there is" in str(large.fault)
        assert trial.loaded == []


def test_open_levels_are_shares_of_the_rate():
    with serving() as target:
        levels = measurer_of(Trial(target)).open(SETTING, (0.5, 0.8), 100.0)
    assert [(one.load, one.requests_per_s) for one in levels] == [(0.5, 50), (0.8, 80)]
    assert all(one.p99_ms >= one.p50_ms >= 1e3 * ANSWER_S * 0.95 for one in levels)
