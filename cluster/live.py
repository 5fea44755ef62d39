"""The live actor: one for the cluster, on its head node, which holds what live_state.py keeps.

It is detached, so that it outlives the command that started it, and restarted where it dies; its state is in Ray's own
key-value store, which lives as long as the cluster and, where that is given a Redis, longer.
"""

import asyncio
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from cluster.defaults import NAMESPACE
from cluster.errors import ClusterStateError
from cluster.live_state import Agreement, Key, LiveState, RouterReport
from cluster.pointer import ModelPointer, Pointer
from serving.errors import UnreachableError
from serving.rollout.metrics_page import Counts

LIVE_ACTOR = "headswap-live"
CALL_TIMEOUT_S = 30.0
_KEY, _KEY_NAMESPACE = b"live", NAMESPACE.encode()
# Of the head node, on which Ray's own state is as well: without it nothing works anyway.
_ON_HEAD = {"node:__internal_head__": 0.001}


class _Live:
    """The actor: LiveState with all methods asynchronous, so that Ray runs them in one event loop."""

    def __init__(self) -> None:
        saved = _internal_kv_get(_KEY, namespace=_KEY_NAMESPACE)
        self._state = LiveState(save=_save, saved=saved)

    async def wait(self, report: RouterReport, timeout_s: float) -> Pointer:
        return await self._state.wait(report, timeout_s=timeout_s)

    async def leave(self, router_id: str) -> None:
        self._state.leave(router_id)

    async def pointer(self) -> Pointer:
        return self._state.pointer

    async def change_model(self, name: str, model: ModelPointer | None) -> int:
        return await self._state.change_model(name, model)

    async def switched(self, revision: int, unloaded: Key | None, timeout_s: float) -> bool:
        return await self._state.switched(revision, unloaded, timeout_s=timeout_s)

    async def totals(self) -> tuple[dict[Key, Counts], dict[Key, Agreement], dict[Key, int]]:
        return self._state.totals()

    async def acquire(self, holder: str) -> bool:
        return self._state.acquire(holder)

    async def release(self, holder: str) -> None:
        await self._state.release(holder)

    async def read(self, name: str) -> Any:
        return self._state.read(name)

    async def write(self, name: str, value: Any) -> None:
        self._state.write(name, value)


def _save(content: bytes) -> None:
    _internal_kv_put(_KEY, content, overwrite=True, namespace=_KEY_NAMESPACE)


class Live(Protocol):
    """What a router needs of the live actor."""

    async def wait(self, report: RouterReport, *, timeout_s: float) -> Pointer:
        """Take the report; return the pointer once it has changed, or after `timeout_s`."""

    async def leave(self, router_id: str) -> None:
        """Wait for this router no longer."""


class LiveActor:
    """The live actor as commands and routers call it.

    What commands call raises UnreachableError where the actor does not answer, and else what the actor raises.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def wait(self, report: RouterReport, *, timeout_s: float) -> Pointer:
        """As LiveState.wait. Raises TimeoutError, RayError: the actor does not answer; ask again."""
        answer = self._actor.wait.remote(report, timeout_s)
        pointer: Pointer = await asyncio.wait_for(answer, timeout_s + CALL_TIMEOUT_S)
        return pointer

    async def leave(self, router_id: str) -> None:
        """As LiveState.leave. Raises TimeoutError, RayError: the actor does not answer."""
        await asyncio.wait_for(self._actor.leave.remote(router_id), CALL_TIMEOUT_S)

    def pointer(self) -> Pointer:
        pointer: Pointer = self._call("pointer")
        return pointer

    def change_model(self, name: str, model: ModelPointer | None) -> int:
        return int(self._call("change_model", name, model))

    def switched(self, revision: int, unloaded: Key | None = None, *, timeout_s: float) -> bool:
        return bool(self._call("switched", revision, unloaded, timeout_s, timeout_s=timeout_s))

    def totals(self) -> tuple[dict[Key, Counts], dict[Key, Agreement], dict[Key, int]]:
        totals: tuple[dict[Key, Counts], dict[Key, Agreement], dict[Key, int]]
        totals = self._call("totals")
        return totals

    def acquire(self, holder: str) -> bool:
        return bool(self._call("acquire", holder))

    def release(self, holder: str) -> None:
        self._call("release", holder)

    def read(self, name: str) -> Any:
        return self._call("read", name)

    def write(self, name: str, value: Any) -> None:
        self._call("write", name, value)

    def _call(self, method: str, *arguments: Any, timeout_s: float = 0.0) -> Any:
        answer = getattr(self._actor, method).remote(*arguments)
        try:
            return ray.get(answer, timeout=timeout_s + CALL_TIMEOUT_S)
        except RayTaskError:
            raise
        except RayError as error:
            raise UnreachableError(
                f"the cluster's live actor does not answer ({type(error).__name__})."
            ) from None


def start_live() -> LiveActor:
    """Return the cluster's live actor, which is started if there is none."""
    options = {
        "name": LIVE_ACTOR,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "resources": _ON_HEAD,
        "max_restarts": -1,
        "max_task_retries": -1,
    }
    return LiveActor(ray.remote(_Live).options(**options).remote())


def find_live() -> LiveActor:
    """Return the cluster's live actor. Raises ClusterStateError: headswap does not run on this cluster."""
    try:
        return LiveActor(ray.get_actor(LIVE_ACTOR, namespace=NAMESPACE))
    except ValueError:
        raise ClusterStateError(
            "headswap does not serve on this cluster; start it with headswap cluster serve ARCHIVE."
        ) from None
