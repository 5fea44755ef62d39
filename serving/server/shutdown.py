"""Finishing what a running TorchServe has accepted, so that TERM then loses no request.

On TERM, TorchServe also closes accepted connections, and with them the requests in flight (seen: 4 of 4). It has no way
to only stop listening, so its listening sockets are duplicated (pidfd_getfd, Linux 5.6) and shut down: the kernel then
refuses new connections, and Java does not notice.
"""

import contextlib
import ctypes
import os
import socket
import time
from collections.abc import Collection
from urllib.parse import urlsplit

import psutil

from handlers.contract import SERVER_STOPPING
from serving.errors import ServingError
from serving.rollout.drain import drain
from serving.rollout.session import ServerSession

# A container is killed 30 s after TERM, and TorchServe itself takes 2 to 17 s to close.
FINISH_TIMEOUT_S = 8.0
# Clients that open a connection per request are gone after this; the others keep theirs open for the next request.
CONNECTIONS_TIMEOUT_S = 2.0
POLL_S = 0.02
# The same number on every architecture; Python's os module has pidfd_open but not pidfd_getfd.
SYS_PIDFD_GETFD = 438


def finish_requests(session: ServerSession, pid: int) -> None:
    """Return when every accepted request is answered, or after 8 s; new requests are refused from now on.

    New connections are refused by the kernel where it allows that. On connections that stay open, a new request is
    answered with 503 `server_stopping` until the process ends.
    """
    settings = session.settings
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    ports = {
        urlsplit(settings.inference_url).port or 0,
        int(settings.properties.get("grpc_inference_port", "7070")),
    }
    with contextlib.suppress(ServingError), contextlib.ExitStack() as stack:
        is_closed = close_listeners(pid, ports)
        if is_closed and _wait_for_disconnects(pid, ports):
            return
        management = session.management
        for model in management.models():
            for version in management.versions(model):
                left_s = max(deadline - time.monotonic(), 0.1)
                stack.enter_context(
                    drain(
                        session, model, version, reason=SERVER_STOPPING, wake_up=not is_closed, until_quiet=False,
                        queue_timeout_s=left_s / 2, batch_timeout_s=left_s,
                    )
                )  # fmt: skip


def close_listeners(pid: int, ports: Collection[int]) -> bool:
    """Refuse new connections to these ports of the process; return whether that was possible.

    It is not where a container's seccomp profile forbids pidfd_getfd.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        listeners = [
            connection.fd
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
        ]
        # A list: the others are shut down even if one could not be.
        closed = [_shut_down(pidfd, fd) for fd in listeners]
        return bool(closed) and all(closed)
    except (OSError, psutil.Error):
        return False
    finally:
        os.close(pidfd)


def count_connections(pid: int, ports: Collection[int]) -> int:
    """Return how many clients are connected to these ports of the process; a request in flight has a connection."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return 0
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port in ports
        for connection in connections
    )


def _shut_down(pidfd: int, fd: int) -> bool:
    duplicate = ctypes.CDLL(None).syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    if duplicate < 0:
        return False
    with socket.socket(fileno=duplicate) as listener, contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    return True


def _wait_for_disconnects(pid: int, ports: set[int]) -> bool:
    deadline = time.monotonic() + CONNECTIONS_TIMEOUT_S
    while time.monotonic() < deadline:
        if not count_connections(pid, ports):
            return True
        time.sleep(POLL_S)
    return False
