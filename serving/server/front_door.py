"""Closing the inference ports of a running TorchServe while it goes on answering what it has accepted.

On TERM it closes accepted connections too, and with them the requests under way (seen: 4 of 4). It has no way to stop
listening only, so its listening sockets are borrowed (pidfd_getfd, Linux 5.6) and shut down: the kernel then refuses
new connections, and Java notices nothing.
"""

import contextlib
import ctypes
import os
import socket
from collections.abc import Collection

import psutil

# The same number on every architecture; Python's os has pidfd_open and not this one.
SYS_PIDFD_GETFD = 438


def close_listeners(pid: int, ports: Collection[int]) -> bool:
    """Refuse new connections to these ports of the process; return whether that was possible.

    It is not where a container's seccomp profile forbids pidfd_getfd.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        listening = [
            one.fd
            for one in psutil.Process(pid).net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port in ports
        ]
        # All of them, even where one could not be shut.
        closed = [_shut(pidfd, fd) for fd in listening]
        return bool(closed) and all(closed)
    except (OSError, psutil.Error):
        return False
    finally:
        os.close(pidfd)


def count_connections(pid: int, ports: Collection[int]) -> int:
    """Return how many clients are connected to these ports of the process; a request under way has a connection."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return 0
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port in ports for one in found)


def _shut(pidfd: int, fd: int) -> bool:
    borrowed = ctypes.CDLL(None).syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    if borrowed < 0:
        return False
    with socket.socket(fileno=borrowed) as listener, contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    return True
