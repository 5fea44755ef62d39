"""Requests go to the replica with the fewest in flight, whatever replicas last said of their queues."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.request_router import RequestRouter

from cluster.replica_choice import FewestInFlight

A, B, C = (SimpleNamespace(replica_id=name) for name in "abc")


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a router without Serve's own part, which needs a cluster."""
    monkeypatch.setattr(RequestRouter, "on_send_request", lambda *_: None)
    router = FewestInFlight.__new__(FewestInFlight)
    router.initialize_state()
    return router


def order(router: Any) -> list[str]:
    ranks = asyncio.run(router.choose_replicas([A, B, C]))
    return [replica.replica_id for (replica,) in ranks]


def test_the_replica_with_the_fewest_requests_comes_first(router: Any) -> None:
    for replica_id in "aaabbc":
        router.on_send_request(replica_id)
    assert order(router) == ["c", "b", "a"]
    for _ in range(3):
        router.on_request_completed("a", "")
    assert order(router) == ["a", "c", "b"]


def test_equals_take_turns(router: Any) -> None:
    assert {order(router)[0] for _ in range(100)} == {"a", "b", "c"}


def test_replicas_that_are_gone_leave_nothing_behind(router: Any) -> None:
    router.on_send_request("a")
    router.on_request_completed("a", "")
    assert not router._in_flight
