"""What a version has to pass before and after it goes live, on a real server."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from serving.client import HttpClient
from serving.errors import InputError, PromotionError
from serving.loadtest.load import Load
from serving.rollout.gates import Gates
from serving.rollout.live_record import read_record
from serving.rollout.promotion import PromotionOptions, promote
from serving.rollout.rollback import rollback
from serving.rollout.session import ServerSession
from serving.rollout.status import read_status

DATA = Path(__file__).parents[4] / "sample_data" / "clothing" / "val"


def quiet(_: str) -> None:
    """Report nothing."""


def live(session: ServerSession) -> str:
    return read_record(session.settings.model_store)["clothing"].live.version


def loaded(session: ServerSession) -> set[str]:
    return set(session.management.versions("clothing"))


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        (Gates(data=DATA, min_accuracy=1.0), "less than 100.0%"),
        (Gates(max_p99_ms=0.001), "more than 0.001 ms"),
    ],
)
def test_a_version_that_fails_a_gate_changes_nothing(
    session: ServerSession, archives: dict[str, Path], gates: Gates, reason: str
) -> None:
    with pytest.raises(PromotionError, match=reason) as caught:
        promote(session, archives["2.0"], report=quiet, options=PromotionOptions(gates=gates))
    assert "nothing has changed" in str(caught.value)
    assert live(session) == "1.0"
    assert loaded(session) == {"1.0"}


def test_photos_of_an_unknown_class_are_named(
    session: ServerSession, archives: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(DATA, tmp_path / "photos")
    (tmp_path / "photos" / "shoes").rename(tmp_path / "photos" / "boots")
    options = PromotionOptions(gates=Gates(data=tmp_path / "photos", max_drop=0.1))
    with pytest.raises(InputError, match="'boots', which is not a class of this version"):
        promote(session, archives["2.0"], report=quiet, options=options)
    assert loaded(session) == {"1.0"}


def test_a_version_that_passes_goes_live_and_its_figures_are_reported(
    session: ServerSession, archives: dict[str, Path]
) -> None:
    sentences: list[str] = []
    gates = Gates(data=DATA, min_accuracy=0.1, max_drop=0.5, max_p99_ms=60_000, shadow=16)
    options = PromotionOptions(gates=gates, why="better shoes", bake_s=2)
    promote(session, archives["2.0"], report=sentences.append, options=options)
    report = "\n".join(sentences)
    for part in ("photos right", "the live version", "agree on", "with a p99 of", "no fault"):
        assert part in report
    rows = {row.version: row for row in read_status(session)}
    assert (rows["2.0"].state, rows["2.0"].why) == ("live", "better shoes")
    assert rows["1.0"].state == "kept"
    assert rows["2.0"].requests > 100
    assert rows["2.0"].p99_ms is not None
    assert rollback(session, None, report=quiet).live == "1.0"


def test_a_fault_while_it_is_watched_brings_the_old_version_back(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    def kill_a_worker_of_2() -> None:
        deadline = time.monotonic() + 60
        while live(session) != "2.0" and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(session.management.versions("clothing")["2.0"].ready_pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_a_worker_of_2)
    with Load(lambda: HttpClient(session.settings), "clothing", photos) as load:
        killer.start()
        with pytest.raises(PromotionError, match=r"1\.0 serves again"):
            promote(session, archives["2.0"], report=quiet, options=PromotionOptions(bake_s=60))
        load.wait_for_requests(load.result.requests + 30)
    killer.join()
    assert load.result.failures == {}
    assert live(session) == "1.0"
    assert "failed its bake" in read_record(session.settings.model_store)["clothing"].live.why


def test_keep_0_unloads_the_version_before(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    # 2.0 may still be replacing the worker that the test above killed.
    wait_for_all_workers(session, "2.0")
    with Load(lambda: HttpClient(session.settings), "clothing", photos) as load:
        promote(session, archives["2.0"], report=quiet, options=PromotionOptions(keep=0))
        assert loaded(session) == {"2.0"}
        with pytest.raises(InputError, match="no version before it"):
            rollback(session, None, report=quiet)
        # 1.0 is loaded anew: no request may wait for that.
        began = time.monotonic()
        promote(session, archives["1.0"], report=quiet)
        took_ms = (time.monotonic() - began) * 1e3
    assert load.result.failures == {}
    assert max(load.result.latencies_ms) < took_ms / 2


def wait_for_all_workers(session: ServerSession, version: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        described = session.management.versions("clothing").get(version)
        if described is None or len(described.ready_pids) >= described.min_workers:
            return
        time.sleep(0.2)
    pytest.fail(f"{version} has not replaced its worker")
