"""Closed listeners refuse new connections while an open one goes on: on a real listener in another process."""

import socket
import subprocess
import sys

import pytest

from serving.server.shutdown import close_listeners, count_connections

ECHO = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)
"""


def test_new_connections_are_refused_and_an_open_one_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"before")
            assert connection.recv(100) == b"before"
            if not close_listeners(process.pid, {port}):
                connection.close()
                process.wait(5)
                pytest.skip("pidfd_getfd is forbidden here")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.sendall(b"after")
            assert connection.recv(100) == b"after"
            assert count_connections(process.pid, {port}) == 1
        assert process.wait(5) == 0


def test_a_process_that_does_not_listen_has_nothing_to_close() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert not close_listeners(process.pid, {1})
        assert count_connections(process.pid, {1}) == 0
        process.communicate(b"\n", timeout=5)
    assert not close_listeners(process.pid, {1})
