"""The live record of a cluster, the pointer, and who has seen which revision of it: the live actor without Ray.

Everything that a restart must find is saved before a change is answered. Methods run in one event loop.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.pointer import ModelPointer, Pointer
from serving.rollout.metrics_page import Counts

# A router reports at least once a second; one that has been silent for so long is gone, with its node.
ROUTER_LEASE_S = 10.0
# A command renews its lock every few seconds; after this long without, it was killed.
LOCK_LEASE_S = 20.0
POLL_S = 0.02

Key = tuple[str, str]
"""Model and version."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Photos that a candidate and the live version answered both."""

    compared: int = 0
    agreed: int = 0
    """Those with the same top class."""

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(compared=self.compared + other.compared, agreed=self.agreed + other.agreed)

    def since(self, before: "Agreement") -> "Agreement":
        return Agreement(
            compared=self.compared - before.compared, agreed=self.agreed - before.agreed
        )


@dataclass(frozen=True, kw_only=True)
class RouterReport:
    """What a router says each time it asks for the pointer."""

    router_id: str
    revision: int
    """Of the pointer that it routes by."""
    in_flight: Mapping[Key, int] = field(default_factory=dict)
    """Requests that are not answered yet; versions without any are missing."""
    counts: Mapping[Key, Counts] = field(default_factory=dict)
    """Since the router started."""
    agreement: Mapping[Key, Agreement] = field(default_factory=dict)
    """By candidate, since the router started."""


@dataclass(kw_only=True)
class _Saved:
    """What survives a restart; `record` and `intent` are as serving/rollout writes them."""

    pointer: Pointer = field(default_factory=Pointer)
    record: dict[str, Any] = field(default_factory=dict)
    intent: dict[str, Any] | None = None
    archives: dict[str, str] = field(default_factory=dict)
    """The sha256 of each archive by NAME-VERSION.mar."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How each model's versions are served (cluster/deployment.py, VersionOptions)."""

    def dump(self) -> bytes:
        return json.dumps({**vars(self), "pointer": self.pointer.to_json()}).encode()

    @classmethod
    def parse(cls, content: bytes) -> "_Saved":
        fields = json.loads(content)
        return cls(**{**fields, "pointer": Pointer.from_json(fields["pointer"])})


class LiveState:
    """`save` keeps bytes durably, `saved` are those of an earlier process; None: there was none."""

    def __init__(
        self,
        *,
        save: Callable[[bytes], None],
        saved: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._save, self._clock = save, clock
        self._saved = _Saved() if saved is None else _Saved.parse(saved)
        self._changed = asyncio.Condition()
        self._reports: dict[str, RouterReport] = {}
        self._seen_s: dict[str, float] = {}
        self._holder, self._held_until_s = "", 0.0
        # After a restart the routers need a moment to report again; until then nobody can say that all have switched.
        self._settled_s = clock() + (0.0 if saved is None else ROUTER_LEASE_S)

    # What routers call.

    async def wait(self, report: RouterReport, *, timeout_s: float) -> Pointer:
        """Take the router's report; return the pointer once it is another than the router's, or after `timeout_s`."""
        await self._drop_abandoned()
        self._reports[report.router_id] = report
        self._seen_s[report.router_id] = self._clock()
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self.pointer.revision != report.revision),
                    timeout_s,
                )
        return self.pointer

    def leave(self, router_id: str) -> None:
        """Wait for this router no longer; what it counted stays."""
        self._seen_s.pop(router_id, None)

    # What commands call.

    @property
    def pointer(self) -> Pointer:
        return self._saved.pointer

    async def change_model(self, name: str, model: ModelPointer | None) -> int:
        """Point to the model's versions as given, None to no version; return the revision."""
        await self._point(self.pointer.with_model(name, model))
        return self.pointer.revision

    def is_switched(self, revision: int, unloaded: Key | None = None) -> bool:
        """Say whether every live router has this revision, and no request of the unloaded version in flight."""
        if self._clock() < self._settled_s:
            return False
        return all(
            report.revision >= revision and not (unloaded and report.in_flight.get(unloaded))
            for report in self._live_reports()
        )

    async def switched(
        self, revision: int, unloaded: Key | None = None, *, timeout_s: float
    ) -> bool:
        """Return `is_switched` once it is true, or after `timeout_s`."""
        deadline = self._clock() + timeout_s
        while not self.is_switched(revision, unloaded) and self._clock() < deadline:
            await asyncio.sleep(POLL_S)
        return self.is_switched(revision, unloaded)

    def totals(self) -> tuple[dict[Key, Counts], dict[Key, Agreement], dict[Key, int]]:
        """Return what all routers have counted and compared, and what is in flight in those that live."""
        counts: dict[Key, Counts] = {}
        agreement: dict[Key, Agreement] = {}
        in_flight: dict[Key, int] = {}
        for report in self._reports.values():
            for key, counted in report.counts.items():
                counts[key] = counts.get(key, Counts()).plus(counted)
            for key, compared in report.agreement.items():
                agreement[key] = agreement.get(key, Agreement()) + compared
        for report in self._live_reports():
            for key, count in report.in_flight.items():
                in_flight[key] = in_flight.get(key, 0) + count
        return counts, agreement, in_flight

    def acquire(self, holder: str) -> bool:
        """Take or renew the lock of what is live for LOCK_LEASE_S; say whether the holder has it."""
        now_s = self._clock()
        if self._holder not in ("", holder) and now_s < self._held_until_s:
            return False
        self._holder, self._held_until_s = holder, now_s + LOCK_LEASE_S
        return True

    async def release(self, holder: str) -> None:
        """Give the lock back; a candidate's share ends with it."""
        if self._holder == holder:
            self._holder = ""
            await self._drop_candidates()

    def read(self, name: str) -> Any:
        """Return `record`, `intent`, `archives` or `options`."""
        return getattr(self._saved, name)

    def write(self, name: str, value: Any) -> None:
        """Replace one of what `read` returns, durably. From now on `read` returns what a restart would find."""
        self._replace(name, json.loads(json.dumps(value)))

    def _replace(self, name: str, value: Any) -> None:
        before = getattr(self._saved, name)
        setattr(self._saved, name, value)
        try:
            self._save(self._saved.dump())
        except BaseException:
            setattr(self._saved, name, before)
            raise

    def _live_reports(self) -> list[RouterReport]:
        """Return the last report of each router that is neither silent nor gone."""
        now_s = self._clock()
        return [
            self._reports[name]
            for name, seen_s in self._seen_s.items()
            if now_s - seen_s < ROUTER_LEASE_S
        ]

    async def _point(self, pointer: Pointer) -> None:
        self._replace("pointer", pointer)
        async with self._changed:
            self._changed.notify_all()

    async def _drop_abandoned(self) -> None:
        """End the share of a candidate whose command was killed, for nobody watches it any longer."""
        if self._holder and self._clock() >= self._held_until_s:
            self._holder = ""
            await self._drop_candidates()

    async def _drop_candidates(self) -> None:
        for name, model in self.pointer.models.items():
            if model.candidate is not None:
                await self._point(self.pointer.with_model(name, model.without_candidate()))
