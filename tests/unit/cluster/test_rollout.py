"""Promotions on a cluster whose versions and actors are in this process: every step, its undoing, and the lock."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.deployment import VersionOptions
from cluster.errors import ArchiveTransferError, VersionFailedError
from cluster.live_state import LiveState, RouterReport
from cluster.names import DEPLOYMENT, application_name
from cluster.pointer import ModelPointer
from cluster.rollout import management, store
from cluster.rollout.session import ClusterSession
from cluster.rollout.status import read_cluster_status
from headswap import cluster_options
from headswap.cli import main
from headswap.commands.serving import status
from serving.archive.reader import Archive, read_archive
from serving.client import Client
from serving.errors import (
    ArchiveError,
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    PromotionError,
)
from serving.rollout.live_record import Deployment, entry_of
from serving.rollout.promotion import promote
from serving.rollout.retirement import retire
from serving.rollout.rollback import rollback
from tests.unit.serving.rollout.helpers import FakeTorchServe, quiet

MODEL = "tiny"


class Actor:
    """The live actor, called without Ray."""

    def __init__(self) -> None:
        self.state = LiveState(save=lambda content: None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.state, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if not callable(method):
                return method
            result = method(*arguments, **options)
            return asyncio.run(result) if asyncio.iscoroutine(result) else result

        return call


class Cluster:
    """What Serve has deployed, and what the archive store holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployed: dict[str, str] = {}
        self.failing: set[str] = set()
        self.options: list[VersionOptions] = []
        self.live = Actor()

    def give(self, archive: Archive) -> None:
        (self.folder / f"{archive.sha256}.mar").write_bytes(archive.path.read_bytes())

    def fetch(self, sha256: str) -> Path:
        path = self.path(sha256)
        if not path.exists():
            raise ArchiveTransferError("the cluster holds no such archive.")
        return path

    def path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.mar"

    def deploy(self, archive: Archive, options: VersionOptions) -> None:
        if archive.version in self.failing:
            raise VersionFailedError("a probe differs: refusing to serve")
        self.options.append(options)
        self.deployed[application_name(archive.name, archive.version)] = archive.version

    def undeploy(self, model: str, version: str) -> None:
        del self.deployed[application_name(model, version)]

    def status(self) -> Any:
        states = SimpleNamespace(replica_states={"RUNNING": 1})
        application = SimpleNamespace(deployments={DEPLOYMENT: states})
        return SimpleNamespace(applications=dict.fromkeys(self.deployed, application))


@pytest.fixture
def archives(archive_maker: Callable[..., Path]) -> dict[str, Path]:
    return {
        version: archive_maker(
            f"tiny-{version}.mar",
            files={"model_card.json": card(version)},
            model={"modelVersion": version},
        )
        for version in ("1.0", "2.0", "3.0")
    }


def card(version: str) -> bytes:
    return f'{{"name": "tiny", "version": "{version}", "class_names": ["cat", "dog"]}}'.encode()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: dict[str, Path]) -> Cluster:
    folder = tmp_path / "cache"
    folder.mkdir()
    cluster = Cluster(folder)
    monkeypatch.setattr(store, "give", cluster.give)
    monkeypatch.setattr(store, "fetch", cluster.fetch)
    monkeypatch.setattr(management, "archive_path", cluster.path)
    monkeypatch.setattr(management, "deploy", cluster.deploy)
    monkeypatch.setattr(management, "undeploy", cluster.undeploy)
    monkeypatch.setattr(management, "serve", SimpleNamespace(status=cluster.status))
    return cluster


@pytest.fixture
def session(cluster: Cluster, archives: dict[str, Path]) -> ClusterSession:
    """Return a session with 1.0 live, whose client gets what the archives promise from the versions deployed."""
    session = ClusterSession(cluster.live)  # type: ignore[arg-type]
    served = FakeTorchServe({version: read_archive(path) for version, path in archives.items()})

    class Transport(FakeTorchServe):
        def send(self, request: Any, *, timeout_s: float) -> bytes:
            pointer = cluster.live.state.pointer.models[MODEL]
            served.loaded, served.default = set(pointer.loaded), pointer.live
            return FakeTorchServe.send(served, request, timeout_s=timeout_s)

    session._client = Client(
        Transport(served.archives), connect_management=lambda: session.management
    )
    cluster.live.write("options", {MODEL: {"replicas_min": 1, "replicas_max": 3}})
    first = session.store.install(read_archive(archives["1.0"]))
    session.management.register(first.path.name, workers=1)
    session.store.write_record({MODEL: Deployment(live=entry_of(first, why="test"))})
    return session


def pointer(cluster: Cluster) -> ModelPointer:
    return cluster.live.state.pointer.models[MODEL]


def test_versions_are_promoted_rolled_back_and_retired(
    cluster: Cluster, session: ClusterSession, archives: dict[str, Path]
) -> None:
    sentences: list[str] = []
    result = promote(session, archives["2.0"], report=sentences.append)
    assert (result.live, result.previous) == ("2.0", "1.0")
    assert sentences == [
        "tiny 2.0 is in the cluster",
        "tiny 2.0 is loaded",
        "its probes differ by at most 0",
        "tiny 2.0 is live",
    ]
    assert pointer(cluster) == ModelPointer(live="2.0", loaded=("1.0", "2.0"))
    # The successor is served as the first version was.
    assert cluster.options[-1] == VersionOptions(replicas_min=1, replicas_max=3)
    assert rollback(session, None, report=quiet).live == "1.0"
    retire(session, MODEL, "2.0", report=sentences.append)
    assert sentences[-1] == "tiny 2.0 is unloaded"
    assert pointer(cluster) == ModelPointer(live="1.0", loaded=("1.0",))
    assert list(cluster.deployed.values()) == ["1.0"]
    record = session.store.read_record()[MODEL]
    assert (record.live.version, record.kept) == ("1.0", ())


def test_versions_that_are_no_longer_kept_are_unloaded(
    cluster: Cluster, session: ClusterSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    promote(session, archives["3.0"], report=quiet)
    assert pointer(cluster) == ModelPointer(live="3.0", loaded=("2.0", "3.0"))
    assert sorted(cluster.deployed.values()) == ["2.0", "3.0"]
    assert [(row.version, row.state) for row in read_cluster_status(session)] == [
        ("3.0", "live"),
        ("2.0", "kept"),
    ]


def test_a_version_that_does_not_load_changes_nothing(
    cluster: Cluster, session: ClusterSession, archives: dict[str, Path]
) -> None:
    cluster.failing.add("2.0")
    with pytest.raises(PromotionError, match="nothing has changed: a probe differs"):
        promote(session, archives["2.0"], report=quiet)
    assert pointer(cluster) == ModelPointer(live="1.0", loaded=("1.0",))
    assert session.store.read_record()[MODEL].live.version == "1.0"
    assert session.store.read_intent() is None


def test_another_archive_of_the_same_version_is_refused(
    session: ClusterSession, archives: dict[str, Path], archive_maker: Callable[..., Path]
) -> None:
    session.store.install(read_archive(archives["2.0"]))
    other = archive_maker(
        "other.mar",
        files={"model_card.json": card("2.0") + b" "},
        model={"modelVersion": "2.0"},
    )
    with pytest.raises(InputError, match="another archive of tiny 2.0"):
        session.store.install(read_archive(other))


def test_an_archive_that_the_cluster_has_lost_is_named(
    cluster: Cluster, session: ClusterSession, archives: dict[str, Path]
) -> None:
    live = session.store.read_record()[MODEL].live
    cluster.path(live.sha256).unlink()
    with pytest.raises(ArchiveError, match="archive of tiny 1.0 cannot be read: the cluster holds"):
        session.store.open_entry(live, model=MODEL)
    (row,) = read_cluster_status(session)
    assert "cannot be read" in row.problem


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_promotion_that_was_killed_is_completed_or_undone(
    cluster: Cluster,
    session: ClusterSession,
    archives: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    is_recorded: bool,
) -> None:
    write = session.store.write_record

    def killed(*arguments: Any) -> None:
        if is_recorded:
            write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(session.store, "write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        promote(session, archives["2.0"], report=quiet)
    monkeypatch.setattr(session.store, "write_record", write)
    assert session.store.read_intent() is not None
    assert pointer(cluster).live == "2.0"
    with pytest.raises(InputError, match="not loaded"):
        retire(session, MODEL, "9.0", report=quiet)
    assert session.store.read_intent() is None
    assert pointer(cluster).live == ("2.0" if is_recorded else "1.0")
    assert pointer(cluster).loaded == (("1.0", "2.0") if is_recorded else ("1.0",))


def test_a_share_is_shown_and_ends_with_the_switch(
    cluster: Cluster, session: ClusterSession, archives: dict[str, Path]
) -> None:
    candidate = session.store.install(read_archive(archives["2.0"]))
    session.management.register(candidate.path.name, workers=1)
    session.management.share(MODEL, "2.0", 5)
    assert [(row.version, row.state) for row in read_cluster_status(session)] == [
        ("1.0", "live"),
        ("2.0", "5 %"),
    ]
    session.management.set_default(MODEL, "2.0")
    assert pointer(cluster) == ModelPointer(live="2.0", loaded=("1.0", "2.0"))


def test_a_version_with_a_request_that_does_not_end_stays_loaded(
    cluster: Cluster,
    session: ClusterSession,
    archives: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    promote(session, archives["2.0"], report=quiet)
    stuck = RouterReport(router_id="a", revision=99, in_flight={(MODEL, "1.0"): 1})
    asyncio.run(cluster.live.state.wait(stuck, timeout_s=0))
    monkeypatch.setattr(management, "REQUEST_TIMEOUT_S", 0.1)
    with pytest.raises(PromotionError, match="was left loaded"):
        retire(session, MODEL, "1.0", report=quiet)
    assert pointer(cluster).loaded == ("1.0", "2.0")
    assert "1.0" in cluster.deployed.values()
    assert session.management.versions(MODEL)["1.0"].pending_requests == 1


def test_the_lock_is_renewed_while_it_is_held_and_given_back(
    cluster: Cluster, session: ClusterSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCK_LEASE_S", 0.04)
    asked: list[str] = []
    is_renewed = threading.Event()
    acquire = cluster.live.state.acquire

    def record(holder: str) -> bool:
        asked.append(holder)
        if asked == [holder] * 3:
            is_renewed.set()
        return acquire(holder)

    monkeypatch.setattr(cluster.live.state, "acquire", record)
    with session.store.locked():
        assert is_renewed.wait(10)
        with pytest.raises(BusyError), session.store.locked():
            pass
    with session.store.locked():
        pass


def test_what_is_not_there_is_said(session: ClusterSession, archives: dict[str, Path]) -> None:
    first = session.store.read_record()[MODEL].live
    with pytest.raises(ConflictError, match="loaded already"):
        session.management.register(f"{first.sha256}.mar", workers=1)
    for call in (session.management.set_default, session.management.unregister):
        with pytest.raises(NotFoundError, match=r"tiny 9\.0 is not loaded"):
            call(MODEL, "9.0")
    with pytest.raises(NotFoundError, match="no version of huge"):
        session.management.default_version("huge")
    assert session.management.versions("huge") == {}
    with pytest.raises(InputError, match="scales by its queue"):
        session.management.scale(MODEL, "1.0", workers=2)


def test_the_commands_work_with_the_cluster_and_log_their_steps(
    cluster: Cluster,
    session: ClusterSession,
    archives: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    @contextmanager
    def open_cluster(address: str) -> Iterator[ClusterSession]:
        assert address == "head:6379"
        yield session

    for module in (cluster_options, status):
        monkeypatch.setattr(module, "open_cluster", open_cluster)
    # Neither a configuration nor a model store is needed.
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        assert main([*arguments, "--cluster", "head:6379"]) == 0
        return capsys.readouterr().out

    assert "To undo: headswap rollback --cluster head:6379" in run("promote", str(archives["2.0"]))
    assert "1.0 is live again" in run("rollback", "--why", "a test")
    rows = json.loads(run("status", "--json"))["versions"]
    assert [(row["version"], row["state"], row["why"]) for row in rows] == [
        ("1.0", "live", "a test"),
        ("2.0", "kept", f"promoted from {archives['2.0']}"),
    ]
    run("retire", MODEL, "2.0")
    assert pointer(cluster) == ModelPointer(live="1.0", loaded=("1.0",))
    log = (tmp_path / ".headswap" / "logs" / "promotions.log").read_text()
    ended = [json.loads(line) for line in log.splitlines() if "outcome" in line]
    assert [(line["command"], line["outcome"]) for line in ended] == [
        ("promote", "done"),
        ("rollback", "done"),
        ("retire", "done"),
    ]
