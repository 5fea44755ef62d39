"""A router before a live state and versions in memory: its choice, its one retry, its reports, its comparisons."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayError
from ray.serve.exceptions import BackPressureError, RayServeException, ReplicaUnavailableError

from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.live_state import LiveState, RouterReport
from cluster.pointer import ModelPointer, Pointer
from cluster.replica import Answer
from cluster.router import Router
from cluster.tally import BOUNDS_S
from tests.unit.cluster.helpers import answer

DIED = ActorUnavailableError("the node is gone", b"0" * 16)


class Memory:
    """The live actor in this process."""

    def __init__(self) -> None:
        self.state = LiveState(save=lambda content: None)

    async def wait(self, report: RouterReport, *, timeout_s: float) -> Pointer:
        return await self.state.wait(report, timeout_s=timeout_s)

    async def leave(self, router_id: str) -> None:
        self.state.leave(router_id)


class Version:
    """A version's handle: raises its `faults` first, then answers with its number."""

    def __init__(self, version: str, label: str = "cat") -> None:
        self.version, self.label, self.faults = version, label, list[Exception]()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    @property
    def respond(self) -> "Version":
        return self

    async def remote(self, item: Any, headers: Any) -> Answer:
        self.asked += 1
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        return answer(self.version, self.label)


class Served:
    """A router with versions 1.0, live, and 2.0 of the model m."""

    def __init__(self) -> None:
        self.live = Memory()
        self.versions = {each: Version(each) for each in ("1.0", "2.0")}
        self.router = Router(self.live, self.handle_of)

    def handle_of(self, model: str, version: str) -> Version:
        if version not in self.versions:
            raise RayServeException("Application does not exist.")
        return self.versions[version]

    async def point(self, **fields: Any) -> None:
        """Change the pointer; return once the router has it."""
        pointer = ModelPointer(**{"live": "1.0", "loaded": ("1.0", "2.0"), **fields})
        revision = await self.live.state.change_model("m", pointer)
        assert await self.live.state.switched(revision, timeout_s=5)

    async def ask(self, version: str | None = None, correlation_id: str = "id") -> str:
        response = await self.router.respond("m", version, correlation_id, [], {})
        return str(json.loads(response.body)["model"]["version"])


def run(script: Callable[[Served], Awaitable[None]]) -> None:
    async def timed() -> None:
        served = Served()
        await served.live.state.change_model("m", ModelPointer(live="1.0", loaded=("1.0", "2.0")))
        await served.router.start()
        try:
            await asyncio.wait_for(script(served), 20)
        finally:
            await served.router.stop()

    asyncio.run(timed())


def test_requests_get_the_live_version_or_the_one_they_name() -> None:
    async def script(served: Served) -> None:
        assert [await served.ask(), await served.ask("2.0")] == ["1.0", "2.0"]
        await served.point(live="2.0")
        assert [await served.ask(), await served.ask("1.0")] == ["2.0", "1.0"]
        with pytest.raises(UnknownVersionError):
            await served.ask("3.0")
        with pytest.raises(UnknownModelError):
            await served.router.respond("n", None, None, [], {})

    run(script)


def test_a_request_whose_replica_died_is_sent_once_more() -> None:
    async def script(served: Served) -> None:
        served.versions["1.0"].faults = [DIED]
        assert await served.ask() == "1.0"
        served.versions["1.0"].faults = [DIED, DIED]
        with pytest.raises(RayError):
            await served.ask()
        assert served.versions["1.0"].asked == 4

    run(script)


def test_a_full_queue_and_a_fault_of_the_version_are_not_sent_again() -> None:
    async def script(served: Served) -> None:
        for fault in (
            BackPressureError(num_queued_requests=1, max_queued_requests=1),
            ValueError("broken"),
        ):
            served.versions["1.0"].faults = [fault]
            with pytest.raises(type(fault)):
                await served.ask()
        assert served.versions["1.0"].asked == 2

    run(script)


def test_a_version_that_has_just_gone_is_answered_by_the_one_that_took_over() -> None:
    async def script(served: Served) -> None:
        served.versions["1.0"].faults = [ReplicaUnavailableError("gone")]
        # The router has not heard of it: it asks for the pointer when the version is gone.
        state = served.live.state
        pointer = state.pointer.with_model("m", ModelPointer(live="2.0", loaded=("2.0",)))
        state._replace("pointer", pointer)
        assert await served.ask() == "2.0"
        with pytest.raises(UnknownVersionError):
            await served.ask("1.0")

    run(script)


def test_an_unloaded_version_is_acknowledged_once_its_requests_are_answered() -> None:
    async def script(served: Served) -> None:
        served.versions["1.0"].gate.clear()
        slow = asyncio.create_task(served.ask())
        while not served.versions["1.0"].asked:
            await asyncio.sleep(0)
        state = served.live.state
        revision = await state.change_model("m", ModelPointer(live="2.0", loaded=("2.0",)))
        assert await state.switched(revision, timeout_s=5)
        assert not await state.switched(revision, ("m", "1.0"), timeout_s=0.2)
        assert await served.ask() == "2.0"
        served.versions["1.0"].gate.set()
        assert await slow == "1.0"
        assert await state.switched(revision, ("m", "1.0"), timeout_s=5)

    run(script)


def test_a_candidate_is_compared_with_the_live_version_on_the_same_photos() -> None:
    async def script(served: Served) -> None:
        served.versions["2.0"].label = "dog"
        await served.point(candidate="2.0", percent=100.0)
        for number in range(5):
            assert await served.ask(correlation_id=str(number)) == "2.0"
            while served.versions["1.0"].asked <= number:
                await asyncio.sleep(0)
        # Asked for by its number, it is not compared.
        assert await served.ask("2.0") == "2.0"
        served.versions["1.0"].label = "dog"
        await served.ask(correlation_id="last")
        while served.versions["1.0"].asked < 6:
            await asyncio.sleep(0)
        await served.point()
        counts, agreement, _ = served.live.state.totals()
        compared = agreement["m", "2.0"]
        assert (compared.compared, compared.agreed) == (6, 1)
        # What is asked for the comparison alone does not count as a client's request.
        assert counts["m", "2.0"].images == 7
        assert ("m", "1.0") not in counts

    run(script)


def test_answers_errors_and_durations_are_counted_by_version() -> None:
    async def script(served: Served) -> None:
        served.versions["1.0"].faults = [
            BackPressureError(num_queued_requests=1, max_queued_requests=1),
            DIED,
        ]
        with pytest.raises(BackPressureError):
            await served.ask()
        await served.ask()
        await served.point(live="2.0")
        counts = served.live.state.totals()[0]["m", "1.0"]
        assert counts.images == 1
        assert counts.errors == {"overloaded": 1, "internal": 1}
        assert counts.faults == 1
        assert counts.buckets[BOUNDS_S[-1]] == 1
        percentile_ms = counts.percentile_ms(0.99)
        assert percentile_ms is not None
        assert percentile_ms < 1_000

    run(script)


def test_a_live_actor_that_is_restarted_is_asked_again() -> None:
    async def script(served: Served) -> None:
        wait, faults = served.live.wait, [RayError("restarting"), TimeoutError()]

        async def fail(report: RouterReport, *, timeout_s: float) -> Pointer:
            if faults:
                raise faults.pop()
            return await wait(report, timeout_s=timeout_s)

        served.live.wait = fail  # type: ignore[method-assign]
        await served.point(live="2.0")
        assert await served.ask() == "2.0"

    run(script)
