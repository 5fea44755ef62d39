"""What keeps a cluster from serving is one sentence: no Ray, a port that is taken, another version that is live."""

import logging
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import application
from cluster.application import ApplicationOptions, connected, start
from cluster.deployment import VersionOptions
from cluster.errors import ClusterAddressError, ClusterError, ClusterStateError
from cluster.pointer import ModelPointer, Pointer
from serving.archive.reader import Archive

BIND = "\x1b[36mray::ProxyActor.ready()\x1b[39m (pid=1)\n  File x\nRuntimeError: Failed to bind to '127.0.0.1:1'."
HAPROXY = "RuntimeError: [ALERT] (9) : [/bin/haproxy.main()] Some protocols failed to start their listeners! Exiting."


def archive(version: str) -> Archive:
    return Archive(
        path=Path(f"m-{version}.mar"), name="m", version=version, class_names=("a",), probe_sets=(),
        sha256="0" * 64,
    )  # fmt: skip


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the live actor of a cluster on which nothing can be deployed, with m 1.0 live."""
    pointer = Pointer().with_model("m", ModelPointer(live="1.0", loaded=("1.0",)))
    actor = SimpleNamespace(pointer=lambda: pointer)
    monkeypatch.setattr(application, "start_live", lambda: actor)
    monkeypatch.setattr(application, "deploy", None)
    return actor


def raising(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_what_serves_threads_say_after_the_connection_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = logging.getLogger("ray.serve")
    monkeypatch.setattr(application, "wants_token", lambda _: False)
    for name in ("init", "shutdown"):
        monkeypatch.setattr(application.ray, name, lambda **_: None)
    for _ in range(2):
        with connected("host:1"):
            assert log.isEnabledFor(logging.ERROR)
        assert not log.isEnabledFor(logging.ERROR)


def test_ray_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", raising(Exception("The node\ntimed out.")))
    with (
        pytest.raises(
            ClusterError, match=r"could not be started on this machine: The node timed out\."
        ),
        connected("local"),
    ):
        pass


def test_an_address_without_a_cluster_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", raising(ConnectionError("nobody")))
    monkeypatch.setattr(application, "wants_token", lambda _: False)
    sentence = r"at 'host:1' \(nobody\); give --address auto"
    with pytest.raises(ClusterAddressError, match=sentence), connected("host:1"):
        pass


@pytest.mark.parametrize(
    ("said", "reason"),
    [(BIND, r"Failed to bind to '127.0.0.1:1'"), (HAPROXY, "one of them is in use")],
    ids=["Serve", "HAProxy"],
)
def test_a_taken_port_is_named(
    said: str, reason: str, live: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.serve.start", raising(RuntimeError(said)))
    options = ApplicationOptions(http_port=1)
    with pytest.raises(ClusterStateError, match=rf"ports 1 and 7070: {reason}\. Give"):
        start([archive("1.0")], options, report=print)


def test_another_live_version_is_left_to_a_promotion(live: SimpleNamespace) -> None:
    with pytest.raises(
        ClusterStateError, match=r"m 1\.0 is live .* headswap promote --cluster m-2\.0\.mar"
    ):
        start([archive("2.0")], ApplicationOptions(), report=print)


def test_a_model_is_given_once(live: SimpleNamespace) -> None:
    with pytest.raises(ClusterStateError, match="m is given in more than one version"):
        start([archive("1.0"), archive("2.0")], ApplicationOptions(), report=print)


def test_a_version_that_is_served_like_this_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a new token would restart every replica."""
    kept = {"m": asdict(VersionOptions(replicas_max=2))}
    actor = SimpleNamespace(read=lambda name: kept)
    deployed: list[str] = []
    store = SimpleNamespace(locked=nullcontext, install=lambda archive: archive)
    monkeypatch.setattr(application, "ClusterStore", lambda live: store)
    monkeypatch.setattr(application, "is_deployed", lambda model, version: version == "1.0")
    monkeypatch.setattr(application, "deploy", lambda archive, _: deployed.append(archive.version))
    monkeypatch.setattr(application, "_record", lambda *_: None)

    def load(version: str, replicas_max: int) -> None:
        options = VersionOptions(replicas_max=replicas_max)
        application.load_versions(actor, [archive(version)], options, report=lambda _: None)  # type: ignore[arg-type]

    load("1.0", 2)
    assert deployed == []
    load("1.0", 3)
    load("2.0", 2)
    assert deployed == ["1.0", "2.0"]
