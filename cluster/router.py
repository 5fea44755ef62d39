"""A router: which version answers a request, and the request's way there. Each ingress and each command has one.

It follows the pointer of the live actor and reports to it what is in flight, what was counted, and, while a candidate
has a share, whether the live version would have answered the same.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from cluster.deployment import handle_of
from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.live import Live, find_live
from cluster.live_state import RouterReport
from cluster.message import Parameter
from cluster.pointer import ModelPointer, Pointer
from cluster.replica import Answer
from cluster.tally import Tally, top_label

logger = logging.getLogger(__name__)

# How old the counts that a promotion watches are at most; a call costs the live actor less than a millisecond.
REPORT_S = 1.0
# While an unloaded version still has requests in flight.
BUSY_REPORT_S = 0.05
RETRY_S = 0.5
# Requests sent to the live version too, for the comparison, at once: it never gets more than that many beyond its own.
COMPARISONS_MAX = 2
OK = 200

HandleOf = Callable[[str, str], Any]


class Router:
    """Runs in one event loop, that of `start`."""

    def __init__(self, live: Live, handle_of: HandleOf) -> None:
        self.router_id = uuid.uuid4().hex
        self._live, self._handle_of = live, handle_of
        self._pointer = Pointer(revision=-1)
        self._handles: dict[tuple[str, str], Any] = {}
        self._tally = Tally()
        self._comparing: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once the first pointer is here; follow it from then on."""
        await self._ask(timeout_s=0.0)
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow the pointer no longer, so that nobody waits for this router."""
        with contextlib.suppress(RayError, TimeoutError):
            await self._live.leave(self.router_id)
        for task in (self._following, *self._comparing):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    @property
    def models(self) -> Mapping[str, ModelPointer]:
        """Return the versions of each model, as last heard."""
        return self._pointer.models

    def choose(self, model: str, version: str | None, correlation_id: str) -> str:
        """Return the version that answers. Raises UnknownModelError, UnknownVersionError."""
        pointer = self.models.get(model)
        if pointer is None:
            raise UnknownModelError(model)
        if version is None:
            return pointer.choose(correlation_id)
        if version not in pointer.loaded:
            raise UnknownVersionError(model, version)
        return version

    async def respond(
        self,
        model: str,
        version: str | None,
        correlation_id: str | None,
        parameters: list[Parameter],
        headers: dict[str, str],
    ) -> Answer:
        """Return a replica's answer; `version` None is the live one's or, for its share, the candidate's.

        Which it is depends on the correlation id, and on chance for a request without one. A request whose replica
        died, or whose version has just been unloaded, is sent once more: a classification changes nothing, so it does
        no harm that the first may have been computed.

        Raises:
            UnknownModelError, UnknownVersionError: no such version is loaded. BackPressureError: its queue is full.
            RayError, RayServeException: the second attempt failed as well.
        """
        request = _Request(
            model=model,
            version=version,
            correlation_id=correlation_id or uuid.uuid4().hex,
            parameters=parameters,
            headers=headers,
        )
        try:
            return await self._attempt(request)
        except BackPressureError:
            raise
        except RayServeException:
            # The version has just been unloaded: the pointer says what took over.
            with contextlib.suppress(RayError, TimeoutError):
                await self._ask(timeout_s=0.0)
        except RayActorError:
            logger.warning("a replica of %s died; its request is sent to another", model)
        return await self._attempt(request)

    async def _attempt(self, request: "_Request") -> Answer:
        model = request.model
        chosen = self.choose(model, request.version, request.correlation_id)
        began_s = time.perf_counter()
        with self._tally.in_flight(model, chosen):
            try:
                answer = await self._send(request, chosen)
            except BackPressureError:
                self._tally.count_error(model, chosen, "overloaded")
                raise
            except (RayError, RayServeException):
                self._tally.count_error(model, chosen, "internal")
                raise
        self._tally.count(model, chosen, answer, seconds=time.perf_counter() - began_s)
        pointer = self.models.get(model)
        if request.version is None and pointer is not None and chosen == pointer.candidate:
            self._compare(request, answer, candidate=chosen, live=pointer.live)
        return answer

    async def _send(self, request: "_Request", version: str) -> Answer:
        handle = await self._handle(request.model, version)
        answer: Answer = await handle.respond.remote(request.parameters, request.headers)
        return answer

    def _compare(self, request: "_Request", answer: Answer, *, candidate: str, live: str) -> None:
        """Ask the live version the same, and count whether it says the same; the client does not wait for that."""
        label = top_label(answer.body) if answer.status == OK else None
        if label is None or len(self._comparing) >= COMPARISONS_MAX:
            return

        async def ask() -> None:
            # A comparison that fails says nothing of the candidate.
            with contextlib.suppress(RayError, RayServeException):
                with self._tally.in_flight(request.model, live):
                    other = await self._send(request, live)
                other_label = top_label(other.body) if other.status == OK else None
                if other_label is not None:
                    self._tally.compare(request.model, candidate, is_same=other_label == label)

        task = asyncio.create_task(ask())
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)

    async def _follow(self) -> None:
        while True:
            is_busy = any(
                version not in self.models[model].loaded if model in self.models else True
                for model, version in self._tally.in_flight_now
            )
            try:
                await self._ask(timeout_s=BUSY_REPORT_S if is_busy else REPORT_S)
            except (RayError, TimeoutError) as error:
                # The live actor is being restarted; the last pointer is good until then.
                logger.warning("the live actor does not answer (%s)", type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _ask(self, *, timeout_s: float) -> None:
        """Report to the live actor and take its pointer."""
        report = RouterReport(
            router_id=self.router_id,
            revision=self._pointer.revision,
            in_flight=dict(self._tally.in_flight_now),
            counts=self._tally.counts,
            agreement=self._tally.agreement,
        )
        pointer = await self._live.wait(report, timeout_s=timeout_s)
        if pointer.revision > self._pointer.revision:
            await self._take(pointer)

    async def _take(self, pointer: Pointer) -> None:
        """Route by the pointer; its handles are there before the first request needs one."""
        loaded = {
            (model, version)
            for model, versions in pointer.models.items()
            for version in versions.loaded
        }
        for key in loaded:
            # It fails if the version was unloaded meanwhile, as the next pointer will say.
            with contextlib.suppress(RayServeException, RayError):
                await self._handle(*key)
        # A request whose version had gone may have brought a newer one while this waited.
        if pointer.revision > self._pointer.revision:
            self._handles = {key: each for key, each in self._handles.items() if key in loaded}
            self._pointer = pointer

    async def _handle(self, model: str, version: str) -> Any:
        """Return the handle of a version's deployment. Raises RayServeException: it is not deployed."""
        key = (model, version)
        if key not in self._handles:
            # In a thread, for it asks Serve's controller and waits.
            self._handles[key] = await asyncio.to_thread(self._handle_of, model, version)
        return self._handles[key]


@dataclass(frozen=True, kw_only=True)
class _Request:
    model: str
    version: str | None
    correlation_id: str
    parameters: list[Parameter]
    headers: dict[str, str]


async def open_router() -> Router:
    """Return a router of this cluster that follows the pointer. Raises ClusterStateError: headswap does not serve."""
    router = Router(await asyncio.to_thread(find_live), handle_of)
    await router.start()
    return router
