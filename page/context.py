"""What the routes share: the server they speak to, where its steps are logged, and who is signed in."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from page.access import Access
from page.errors import refuse
from page.history import History
from page.rollouts import Rollouts
from page.sessions import Sessions, SignInLimit
from serving.rollout.session import Report, ServerSession
from serving.rollout.trust import STRICT, Trust
from serving.settings import ServerSettings

FORM_LIMIT_BYTES = 100_000
OpenLog = Callable[[str, str | None], AbstractContextManager[Report]]
"""Takes a command and its subject; what it yields takes the steps, as `headswap promote` logs them."""


@dataclass(frozen=True, kw_only=True)
class PageContext:
    settings: ServerSettings
    open_session: Callable[[], ServerSession]
    open_log: OpenLog
    access: Access = field(default_factory=Access)
    trust: Trust = STRICT
    capture: Path | None = None
    """The folder of `headswap serve --capture`; None: there is nothing to review."""
    session: ServerSession = field(init=False)
    """The clients that all requests share."""
    sessions: Sessions = field(default_factory=Sessions)
    sign_in_limit: SignInLimit = field(default_factory=SignInLimit)
    history: History = field(default_factory=History)
    rollouts: Rollouts = field(default_factory=Rollouts)

    def __post_init__(self) -> None:
        object.__setattr__(self, "session", self.open_session())


def context_of(request: Request) -> PageContext:
    context: PageContext = request.app.state.context
    return context


async def read_body(request: Request, *, limit_bytes: int) -> bytes:
    """Return the body. Raises HTTPException 413 as soon as it is larger than the limit."""
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise refuse(
                413, f"This is larger than the {limit_bytes / 1e6:.0f} MB that the server takes."
            )
        chunks.append(chunk)
    return b"".join(chunks)


async def read_form(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body. Raises HTTPException 400 for anything else."""
    try:
        form = json.loads(await read_body(request, limit_bytes=FORM_LIMIT_BYTES))
    except (ValueError, RecursionError):
        form = None
    if not isinstance(form, dict):
        raise refuse(400, "The request must be a JSON object.")
    return form
