"""Who is signed in: random ids in memory, which expire, and a limit on wrong attempts."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Role = Literal["inference", "management"]
LIFETIME_S = 8 * 3600
SESSIONS_MAX = 1000
ATTEMPTS = 5
ATTEMPTS_WINDOW_S = 60.0
ADDRESSES_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    role: Role
    csrf_token: str
    expires: float
    """On the clock of the store."""

    def may(self, role: Role) -> bool:
        """Return whether this person may do what needs the token of `role`."""
        return role == "inference" or self.role == "management"


class Sessions:
    """The sessions of this process. Ids are kept as hashes: a lookup by hash has no timing to measure."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[str, SignedIn] = {}
        self._lock = threading.Lock()

    def open(self, role: Role) -> str:
        """Return the id of a new session."""
        session_id = secrets.token_urlsafe(32)
        entry = SignedIn(
            role=role, csrf_token=secrets.token_urlsafe(32), expires=self._clock() + LIFETIME_S
        )
        with self._lock:
            while len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_key(session_id)] = entry
        return session_id

    def find(self, session_id: str | None) -> SignedIn | None:
        """Return who has this id; None where nobody has, or where it has expired."""
        if not session_id:
            return None
        with self._lock:
            entry = self._sessions.get(_key(session_id))
            if entry is not None and entry.expires <= self._clock():
                del self._sessions[_key(session_id)]
                return None
            return entry

    def close(self, session_id: str | None) -> None:
        with self._lock:
            self._sessions.pop(_key(session_id or ""), None)

    def close_all(self) -> None:
        with self._lock:
            self._sessions.clear()


def _key(session_id: str) -> str:
    return hashlib.sha256(session_id.encode(errors="replace")).hexdigest()


class SignInLimit:
    """At most 5 wrong tokens a minute from one address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Return in how many seconds the address may try again; 0: now."""
        with self._lock:
            recent = self._recent(address)
            return (
                max(0.0, recent[-ATTEMPTS] + ATTEMPTS_WINDOW_S - self._clock())
                if len(recent) >= ATTEMPTS
                else 0.0
            )

    def count_failure(self, address: str) -> None:
        with self._lock:
            recent = [*self._recent(address), self._clock()]
            self._failures.pop(address, None)
            while len(self._failures) >= ADDRESSES_MAX:
                del self._failures[next(iter(self._failures))]
            self._failures[address] = recent

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - ATTEMPTS_WINDOW_S
        return [moment for moment in self._failures.get(address, []) if moment > since]
