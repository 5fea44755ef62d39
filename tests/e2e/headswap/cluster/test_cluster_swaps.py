"""Swaps on a real Ray cluster under load: nothing lost, nothing wrong, a share that is one, and a node that dies."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from cluster.application import load_versions
from cluster.defaults import NAMESPACE
from cluster.deployment import VersionOptions, handle_of
from cluster.live import LIVE_ACTOR
from cluster.rollout.status import read_cluster_status
from cluster.rollout.trial import TrialOptions, try_out
from handlers.contract import MANIFEST_FILE, MODEL_CARD_FILE
from serving.archive.reader import Archive, read_archive
from serving.client import Prediction
from serving.errors import BusyError, InputError, PromotionError
from serving.loadtest.load import Load
from serving.loadtest.result import LoadResult
from serving.rollout.live_record import Entry
from serving.rollout.promotion import PromotionOptions, promote
from serving.rollout.retirement import retire
from serving.rollout.rollback import rollback
from serving.rollout.trust import Trust
from tests.e2e.headswap.cluster.conftest import REPLICAS, LocalCluster

SWAPS = 20
CONNECTIONS = 8
COMMAND_TIMEOUT_S = 180
BACK_WITHIN_S = 30
# New processes load torch and the archive for some 10 s each; a busy machine takes several times as long.
REPLACED_WITHIN_S = 120
TOLERANCE = 1e-6

References = dict[str, list[Prediction]]
"""By version, what it says of each of the photos."""


def quiet(_: str) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which commands log their steps."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def references(
    cluster: LocalCluster, state: Path, archives: dict[str, Path], photos: list[bytes]
) -> References:
    """Return what both versions say, once the second was promoted by the command: first on a share, under load."""
    with load(cluster, photos) as requests:
        requests.wait_for_requests(10)
        command = [
            sys.executable, "-m", "headswap", "promote", str(archives["2.0"]),
            "--cluster", cluster.ray.address, "--state", str(state),
            "--percent", "30", "--bake", "2", "--min-agreement", "0.3",
        ]  # fmt: skip
        promotion = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
        assert promotion.returncode == 0, promotion.stderr[-3000:]
        requests.wait_for_requests(requests.result.requests + 10)
    assert "clothing 2.0 is live after" in promotion.stdout
    assert f"To undo: headswap rollback --cluster {cluster.ray.address}" in promotion.stdout
    assert requests.result.failures == {}
    client = cluster.session.http
    return {
        version: [client.predict("clothing", photo, version=version) for photo in photos]
        for version in ("1.0", "2.0")
    }


def load(cluster: LocalCluster, photos: list[bytes]) -> Load:
    return Load(cluster.connect, "clothing", photos, connections=CONNECTIONS)


def wrong(result: LoadResult, references: References) -> Iterator[Prediction]:
    """Yield the predictions that are not those of the version they name."""
    for sample in result.samples:
        if sample.prediction is not None:
            expected = references[sample.prediction.version][sample.photo]
            pairs = zip(sample.prediction.scores, expected.scores, strict=True)
            if not all(
                score.label == right.label
                and abs(score.probability - right.probability) < TOLERANCE
                for score, right in pairs
            ):
                yield sample.prediction


def test_swaps_under_load_lose_no_request_and_answer_none_wrongly(
    cluster: LocalCluster, references: References, photos: list[bytes]
) -> None:
    lives = []
    with load(cluster, photos) as requests:
        requests.wait_for_requests(10)
        for _ in range(SWAPS):
            lives.append(rollback(cluster.session, None, report=quiet).live)
        requests.wait_for_requests(requests.result.requests + 10)
    assert lives == ["1.0", "2.0"] * (SWAPS // 2)
    assert requests.result.failures == {}
    assert list(wrong(requests.result, references)) == []
    assert set(requests.result.answered_by) == {"1.0", "2.0"}


def test_the_steps_are_logged_and_status_shows_what_is_live(
    cluster: LocalCluster, references: References, state: Path
) -> None:
    log = (state / "logs" / "promotions.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["command"] for line in lines} == {"promote"}
    assert lines[-1]["outcome"] == "done"
    assert any("answers 30 % of the requests" in line.get("step", "") for line in lines)
    rows = {row.version: row for row in read_cluster_status(cluster.session)}
    assert {version: row.state for version, row in rows.items()} == {"2.0": "live", "1.0": "kept"}
    assert {row.ready_workers for row in rows.values()} == {REPLICAS}
    assert rows["2.0"].requests > 0
    assert rows["2.0"].faults == 0


def test_one_command_at_a_time_changes_what_is_live(
    cluster: LocalCluster, references: References, archives: dict[str, Path]
) -> None:
    with cluster.session.store.locked(), pytest.raises(BusyError):
        rollback(cluster.session, None, report=quiet)
    with pytest.raises(InputError, match="is live already"):
        promote(cluster.session, archives["2.0"], report=quiet)
    with pytest.raises(InputError, match="is live; promote another"):
        retire(cluster.session, "clothing", "2.0", report=quiet)


def test_a_share_is_that_share_and_sticks_to_the_correlation_id(
    cluster: LocalCluster, references: References, photos: list[bytes]
) -> None:
    management = cluster.session.management
    management.share("clothing", "1.0", 10)
    with load(cluster, photos) as requests:
        requests.wait_for_requests(1_000, timeout_s=120)
    answered = requests.result.answered_by
    assert requests.result.failures == {}
    assert list(wrong(requests.result, references)) == []
    assert 0.07 <= answered["1.0"] / answered.total() <= 0.13
    management.share("clothing", "1.0", 50)
    with cluster.connect() as client:
        first, second = (
            [
                client.predict("clothing", photos[0], correlation_id=f"client {number}").version
                for number in range(20)
            ]
            for _ in range(2)
        )
    management.share("clothing", "1.0", 0)
    assert first == second
    assert set(first) == {"1.0", "2.0"}


def slow_and_wrong(archive: Path, target: Path) -> Path:
    """Write the archive as version 3.0, which waits before each answer and has its classes in another order."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == MODEL_CARD_FILE:
                card = json.loads(data)
                names = card["class_names"]
                data = json.dumps(
                    {**card, "version": "3.0", "class_names": names[1:] + names[:1]}
                ).encode()
            elif member.filename == MANIFEST_FILE:
                data = data.replace(b'"2.0"', b'"3.0"')
            elif member.filename == "handlers/classifier.py":
                begin = b"        started = time.perf_counter()\n"
                assert data.count(begin) == 1
                data = data.replace(begin, begin + b"        time.sleep(0.5)\n")
            copy.writestr(member, data)
    return target


@pytest.fixture
def bad(
    cluster: LocalCluster, references: References, archives: dict[str, Path], tmp_path: Path
) -> Iterator[Path]:
    """Yield the path of a slow and wrong version 3.0, which is loaded; retire it at the end."""
    path = slow_and_wrong(archives["2.0"], tmp_path / "bad.mar")
    installed = cluster.session.store.install(read_archive(path))
    cluster.session.management.register(installed.path.name, workers=REPLICAS)
    yield path
    retire(cluster.session, "clothing", "3.0", report=quiet)
    assert set(cluster.session.management.versions("clothing")) == {"1.0", "2.0"}


def test_a_candidate_that_answers_wrongly_or_slowly_goes_back_by_itself(
    cluster: LocalCluster, bad: Path, photos: list[bytes]
) -> None:
    session = cluster.session
    checks = PromotionOptions(allow_class_change=True, trust=Trust(allow_custom_handler=True))

    def refuse(options: TrialOptions) -> str:
        def trial(archive: Archive, live: Entry) -> None:
            try_out(session, archive, live, options, report=quiet)

        with pytest.raises(PromotionError) as error:
            promote(session, bad, report=quiet, options=checks, trial=trial)
        pointer = session.live.pointer().models["clothing"]
        assert (pointer.live, pointer.candidate) == ("2.0", None)
        return str(error.value)

    with load(cluster, photos) as requests:
        requests.wait_for_requests(20)
        as_live = "3.0 was refused after .* 2.0 answers all of them again: it says the same as 2.0"
        assert re.search(as_live, refuse(TrialOptions(percent=50, seconds=60, max_p99_ms=60_000)))
        slower = refuse(TrialOptions(percent=50, seconds=60, min_agreement=0))
        # With enough requests queued before it, a probe is the first to be too late.
        too_late = r"its p9\d is \d+ ms, 2.0's \d+ ms|did not answer a probe: no answer .* within"
        assert re.search(too_late, slower)
    assert requests.result.failures == {}


def test_a_live_actor_that_dies_comes_back_with_all_it_kept(
    cluster: LocalCluster, references: References, photos: list[bytes]
) -> None:
    before = (cluster.session.live.pointer(), cluster.session.store.read_record())
    with load(cluster, photos) as requests:
        requests.wait_for_requests(20)
        ray.kill(ray.get_actor(LIVE_ACTOR, namespace=NAMESPACE), no_restart=False)
        assert (cluster.session.live.pointer(), cluster.session.store.read_record()) == before
        swapped = rollback(cluster.session, None, report=quiet)
        requests.wait_for_requests(requests.result.requests + 20)
    assert (swapped.previous, swapped.live) == ("2.0", "1.0")
    assert requests.result.failures == {}
    assert list(wrong(requests.result, references)) == []
    assert rollback(cluster.session, None, report=quiet).live == "2.0"


def as_another_model(archive: Path, target: Path) -> Archive:
    """Write the archive as one of the model `busy`, and return it."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename in (MODEL_CARD_FILE, MANIFEST_FILE):
                data = data.replace(b'"clothing"', b'"busy"')
            copy.writestr(member, data)
    return read_archive(target)


def test_load_adds_a_replica_that_answers(
    cluster: LocalCluster, archives: dict[str, Path], photos: list[bytes], tmp_path: Path
) -> None:
    session = cluster.session
    options = VersionOptions(replicas_min=1, replicas_max=2, upscale_delay_s=1)
    archive = as_another_model(archives["1.0"], tmp_path / "busy-1.0.mar")
    load_versions(session.live, [archive], options, report=quiet)
    # Each access to the method would make a router of its own.
    describe = handle_of("busy", "1.0").describe
    try:
        pids = {describe.remote().result()["pid"]}
        with Load(cluster.connect, "busy", photos, connections=CONNECTIONS) as requests:
            deadline = time.monotonic() + REPLACED_WITHIN_S
            while len(pids) < 2:
                assert time.monotonic() < deadline
                pids.add(describe.remote().result()["pid"])
            requests.wait_for_requests(requests.result.requests + 10)
    finally:
        # Otherwise its router goes on in the tests after this one.
        describe.shutdown()
    assert requests.result.failures == {}
    session.management.unregister("busy", "1.0")
    session.store.write_record({"clothing": session.store.read_record()["clothing"]})


def test_a_node_that_dies_costs_no_answer_and_is_made_up_for(
    cluster: LocalCluster, references: References, photos: list[bytes]
) -> None:
    assert cluster.replicas_on(cluster.worker, "2.0") > 0
    with load(cluster, photos) as requests:
        requests.wait_for_requests(20)
        cluster.ray.remove_node(cluster.worker, allow_graceful=False)
        # In flight were at most as many as there are connections: these came after the node had died.
        after = requests.result.requests + 2 * CONNECTIONS
        requests.wait_for_requests(after, timeout_s=BACK_WITHIN_S)
        deadline = time.monotonic() + REPLACED_WITHIN_S
        # A process is there before its replica is ready, and a rollback waits for none.
        while any(
            cluster.replicas_on(cluster.ray.head_node, version) < REPLICAS for version in references
        ) or {row.ready_workers for row in read_cluster_status(cluster.session)} != {REPLICAS}:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        requests.wait_for_requests(requests.result.requests + 50)
    assert requests.result.failures == {}
    assert list(wrong(requests.result, references)) == []
    assert rollback(cluster.session, None, report=quiet).live == "1.0"


def test_the_commands_show_and_change_what_is_live(
    cluster: LocalCluster, references: References, state: Path
) -> None:
    def run(*arguments: str, address: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "headswap", *arguments, "--cluster", address, "--state", state],
            env={**os.environ, "RAY_ADDRESS": cluster.ray.address},
            capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    live = cluster.session.live.pointer().models["clothing"].live
    other = {"1.0": "2.0", "2.0": "1.0"}[live]
    assert f"clothing {other} is live" in run("rollback", "clothing", address=cluster.ray.address)
    run("retire", "clothing", live, address="auto")
    assert re.findall(r"clothing +(\S+)", run("status", address="auto"))[:1] == [other]
    assert set(cluster.session.management.versions("clothing")) == {other}
