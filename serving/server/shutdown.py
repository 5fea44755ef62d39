"""Bringing a running TorchServe to the point where TERM loses nothing."""

import contextlib
import time
from urllib.parse import urlsplit

from serving.client.grpc_management import manage
from serving.errors import ServingError
from serving.rollout.drain import STOPPING, drain
from serving.server.front_door import close_listeners, count_connections
from serving.settings import ServerSettings

# A container is killed 30 s after TERM, and TorchServe itself takes 2 to 17 s to close.
CLOSING_TIMEOUT_S = 8.0
# Clients that open a connection a request are gone after this; the others keep theirs open for the next request.
GOODBYE_S = 2.0
POLL_S = 0.02


def answer_what_is_under_way(settings: ServerSettings, pid: int) -> None:
    """Return when every request that was accepted is answered, or after 8 s; new ones are refused from now on.

    New connections are refused by the kernel where that can be had. On connections that stay open a new request is
    answered 503 `server_stopping` until the process ends.
    """
    deadline = time.monotonic() + CLOSING_TIMEOUT_S
    ports = {
        urlsplit(settings.inference_url).port or 0,
        int(settings.properties.get("grpc_inference_port", "7070")),
    }
    with contextlib.suppress(ServingError), contextlib.ExitStack() as stack:
        is_closed = close_listeners(pid, ports)
        if is_closed and _wait_until_left(pid, ports):
            return
        management = stack.enter_context(manage(settings))
        for model in management.models():
            for version in management.versions(model):
                left_s = max(deadline - time.monotonic(), 0.1)
                stack.enter_context(
                    drain(
                        settings, management, model, version, reason=STOPPING, knocks=not is_closed, until_quiet=False,
                        queue_timeout_s=left_s / 2, batch_timeout_s=left_s,
                    )
                )  # fmt: skip


def _wait_until_left(pid: int, ports: set[int]) -> bool:
    deadline = time.monotonic() + GOODBYE_S
    while time.monotonic() < deadline:
        if not count_connections(pid, ports):
            return True
        time.sleep(POLL_S)
    return False
