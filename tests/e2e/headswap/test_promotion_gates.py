"""What a version must show before and after it goes live, on a real server."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from serving.client import HttpClient
from serving.client.http_management import HttpManagement
from serving.errors import InputError, PromotionError
from serving.loadtest.load import Load
from serving.rollout.gates import Gates
from serving.rollout.live_record import read_record
from serving.rollout.promotion import PromotionOptions, promote, rollback
from serving.rollout.status import read_status
from serving.settings import ServerSettings

DATA = Path(__file__).parents[3] / "sample_data" / "clothing" / "val"


def quiet(_: str) -> None:
    pass


def live(served: ServerSettings) -> str:
    return read_record(served.model_store)["clothing"].live.version


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        (Gates(data=DATA, min_accuracy=1.0), "less than 100.0%"),
        (Gates(max_p99_ms=0.001), "more than 0.001 ms"),
    ],
)
def test_a_version_that_fails_a_gate_changes_nothing(
    served: ServerSettings, archives: dict[str, Path], gates: Gates, told: str
) -> None:
    with pytest.raises(PromotionError, match=told) as refused:
        promote(served, archives["2.0"], report=quiet, terms=PromotionOptions(gates=gates))
    assert "nothing has changed" in str(refused.value)
    assert live(served) == "1.0"
    assert set(HttpManagement(served).versions("clothing")) == {"1.0"}


def test_photos_of_an_unknown_class_are_named(
    served: ServerSettings, archives: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="no class of this version"):
        promote(
            served,
            archives["2.0"],
            report=quiet,
            terms=PromotionOptions(gates=Gates(data=DATA.parent, max_drop=0.1)),
        )
    assert set(HttpManagement(served).versions("clothing")) == {"1.0"}


def test_a_version_that_passes_goes_live_and_says_why(
    served: ServerSettings, archives: dict[str, Path]
) -> None:
    said: list[str] = []
    gates = Gates(data=DATA, min_accuracy=0.1, max_drop=0.5, max_p99_ms=60_000, shadow=16)
    terms = PromotionOptions(gates=gates, why="better shoes", bake_s=2)
    promote(served, archives["2.0"], report=said.append, terms=terms)
    told = "\n".join(said)
    for part in ("photos right", "the live version", "agree on", "with a p99 of", "no fault"):
        assert part in told
    rows = {row.version: row for row in read_status(served)}
    assert (rows["2.0"].deployment, rows["2.0"].why) == ("live", "better shoes")
    assert rows["1.0"].deployment == "kept"
    assert rows["2.0"].requests > 100
    assert rows["2.0"].p99_ms is not None
    assert rollback(served, None, report=quiet).live == "1.0"


def test_a_fault_in_the_watch_brings_the_old_version_back(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    def kill_a_worker_of_2() -> None:
        deadline = time.monotonic() + 60
        while live(served) != "2.0" and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(HttpManagement(served).versions("clothing")["2.0"].ready_pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_a_worker_of_2)
    with Load(lambda: HttpClient(served), "clothing", photos) as load:
        killer.start()
        with pytest.raises(PromotionError, match=r"1\.0 serves again"):
            promote(served, archives["2.0"], report=quiet, terms=PromotionOptions(bake_s=60))
        load.wait_for_requests(load.result.requests + 30)
    killer.join()
    assert load.result.failures == {}
    assert live(served) == "1.0"
    assert "failed its watch" in read_record(served.model_store)["clothing"].live.why


def test_keep_0_unloads_the_version_before(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    # 2.0 may still be replacing the worker that the test above killed.
    until_all_workers(served, "2.0")
    with Load(lambda: HttpClient(served), "clothing", photos) as load:
        promote(served, archives["2.0"], report=quiet, terms=PromotionOptions(keep=0))
        assert set(HttpManagement(served).versions("clothing")) == {"2.0"}
        with pytest.raises(InputError, match="no version before it"):
            rollback(served, None, report=quiet)
        # 1.0 is loaded anew: nobody may wait for that.
        began = time.monotonic()
        promote(served, archives["1.0"], report=quiet)
        took_ms = (time.monotonic() - began) * 1e3
    assert load.result.failures == {}
    assert max(load.result.latencies_ms) < took_ms / 2


def until_all_workers(served: ServerSettings, version: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        loaded = HttpManagement(served).versions("clothing").get(version)
        if loaded is None or len(loaded.ready_pids) >= loaded.min_workers:
            return
        time.sleep(0.2)
    pytest.fail(f"{version} has not replaced its worker")
