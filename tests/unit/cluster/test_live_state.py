"""The live actor without Ray: long polls, acknowledgements, the lock, and what a restart finds."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cluster.live_state import (
    LOCK_LEASE_S,
    ROUTER_LEASE_S,
    Agreement,
    LiveState,
    RouterReport,
)
from cluster.pointer import ModelPointer
from serving.rollout.metrics_page import Counts

ONE = ModelPointer(live="1.0", loaded=("1.0", "2.0"))
TRIED = ModelPointer(live="1.0", loaded=("1.0", "2.0"), candidate="2.0", percent=5.0)
KEY = ("m", "1.0")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Kept:
    """A key-value store; `is_full` makes it refuse."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.is_full = False

    def save(self, content: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.content = content


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def state(kept: Kept, clock: Clock) -> LiveState:
    return LiveState(save=kept.save, clock=clock)


def report(revision: int, router_id: str = "a", **fields: object) -> RouterReport:
    return RouterReport(router_id=router_id, revision=revision, **fields)  # type: ignore[arg-type]


def run(script: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        await asyncio.wait_for(script(), 10)

    asyncio.run(timed())


def test_a_router_hears_of_a_change_at_once(state: LiveState) -> None:
    async def script() -> None:
        waiting = asyncio.create_task(state.wait(report(0), timeout_s=60))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await state.change_model("m", ONE) == 1
        assert (await waiting).models == {"m": ONE}

    run(script)


def test_a_router_that_is_behind_is_answered_at_once_and_one_that_is_not_after_the_timeout(
    state: LiveState,
) -> None:
    async def script() -> None:
        assert (await state.wait(report(-1), timeout_s=60)).revision == 0
        assert (await state.wait(report(0), timeout_s=0.01)).revision == 0

    run(script)


def test_a_change_counts_as_switched_once_every_router_has_it(state: LiveState) -> None:
    async def script() -> None:
        for name in ("a", "b"):
            await state.wait(report(0, name), timeout_s=0)
        revision = await state.change_model("m", ONE)
        await state.wait(report(revision, "a"), timeout_s=0)
        assert not state.is_switched(revision)
        waiting = asyncio.create_task(state.switched(revision, timeout_s=60))
        await state.wait(report(revision, "b"), timeout_s=0)
        assert await waiting

    run(script)


def test_a_router_that_is_silent_or_has_left_is_not_waited_for(
    state: LiveState, clock: Clock
) -> None:
    async def script() -> None:
        for name in ("a", "b", "c"):
            await state.wait(report(0, name), timeout_s=0)
        revision = await state.change_model("m", ONE)
        clock.now_s += ROUTER_LEASE_S - 1
        await state.wait(report(revision, "a"), timeout_s=0)
        assert not state.is_switched(revision)
        state.leave("c")
        assert not state.is_switched(revision)
        clock.now_s += 2
        assert state.is_switched(revision)

    run(script)


def test_an_unloaded_version_is_waited_for_until_nothing_of_it_is_in_flight(
    state: LiveState,
) -> None:
    async def script() -> None:
        revision = await state.change_model("m", ONE)
        await state.wait(report(revision, in_flight={KEY: 2}), timeout_s=0)
        assert state.is_switched(revision)
        assert not state.is_switched(revision, unloaded=KEY)
        assert state.is_switched(revision, unloaded=("m", "2.0"))
        await state.wait(report(revision), timeout_s=0)
        assert state.is_switched(revision, unloaded=KEY)

    run(script)


def test_a_restart_finds_everything_and_gives_the_routers_time_to_report(
    state: LiveState, kept: Kept, clock: Clock
) -> None:
    async def script() -> None:
        await state.change_model("m", TRIED)
        state.write("record", {"m": {"live": {"version": "1.0"}, "kept": ()}})
        state.write("archives", {"m-1.0.mar": "ab"})
        again = LiveState(save=kept.save, saved=kept.content, clock=clock)
        assert again.pointer == state.pointer
        for name in ("record", "intent", "archives", "options"):
            assert again.read(name) == state.read(name)
        assert not again.is_switched(1)
        clock.now_s += ROUTER_LEASE_S
        assert again.is_switched(1)

    run(script)


def test_what_cannot_be_saved_is_not_changed(state: LiveState, kept: Kept) -> None:
    async def script() -> None:
        kept.is_full = True
        with pytest.raises(OSError, match="No space"):
            await state.change_model("m", ONE)
        with pytest.raises(OSError, match="No space"):
            state.write("record", {"m": {}})
        assert (state.pointer.revision, state.read("record")) == (0, {})

    run(script)


def test_one_command_at_a_time_holds_the_lock(state: LiveState, clock: Clock) -> None:
    assert state.acquire("first")
    clock.now_s += LOCK_LEASE_S - 1
    assert not state.acquire("second")
    assert state.acquire("first")
    clock.now_s += LOCK_LEASE_S - 1
    assert not state.acquire("second")
    clock.now_s += 1
    assert state.acquire("second")
    asyncio.run(state.release("first"))
    assert not state.acquire("first")
    asyncio.run(state.release("second"))
    assert state.acquire("first")


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_candidate_gets_its_share_no_longer_than_its_command_lives(
    state: LiveState, clock: Clock, is_killed: bool
) -> None:
    async def script() -> None:
        assert state.acquire("command")
        await state.change_model("m", TRIED)
        await state.wait(report(0), timeout_s=0)
        assert state.pointer.models["m"] == TRIED
        if is_killed:
            clock.now_s += LOCK_LEASE_S
        else:
            await state.release("command")
        pointer = await state.wait(report(1), timeout_s=0)
        assert pointer.models["m"] == ONE
        assert pointer.revision == 2

    run(script)


def test_counts_of_all_routers_add_up_and_stay_when_one_leaves(state: LiveState) -> None:
    async def script() -> None:
        counts = {KEY: Counts(images=2, errors={"internal": 1}, buckets={1.0: 2.0})}
        for name in ("a", "b", "a"):
            agreement = {KEY: Agreement(compared=3, agreed=2)}
            await state.wait(
                report(0, name, counts=counts, agreement=agreement, in_flight={KEY: 1}),
                timeout_s=0,
            )
        state.leave("b")
        totals, compared, in_flight = state.totals()
        assert totals[KEY] == Counts(images=4, errors={"internal": 2}, buckets={1.0: 4.0})
        assert compared[KEY] == Agreement(compared=6, agreed=4)
        assert in_flight == {KEY: 1}

    run(script)
