"""A server of a few lines, for the load generator and for what measures with it."""

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.loadtest.http_target import HttpTarget

ANSWER_S = 0.02
PHOTOS = (b"one", b"another")
LOST = 0
"""Instead of a status: the connection is closed without an answer."""


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.read_head():
            assert "Authorization: Bearer secret" in head
            body = self.rfile.read(int(head.lower().split("content-length:")[1].split()[0]))
            with self.server.workers:
                time.sleep(ANSWER_S)
            status = self.server.status(body)
            if status == LOST:
                return
            self.wfile.write(f"HTTP/1.1 {status} Word\r\nContent-Length: 2\r\n\r\nok".encode())

    def read_head(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            lines.append(line.decode())
        return "".join(lines)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hung up while they were answered."""


@contextmanager
def serving(
    *, workers: int = 100, status: Callable[[bytes], int] = lambda body: 200
) -> Iterator[HttpTarget]:
    """Yield the address of a server that takes 20 ms for an answer and works on `workers` of them at once."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.workers, server.status = threading.Semaphore(workers), status
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        yield HttpTarget(url=f"http://127.0.0.1:{port}/predictions/x", token="secret")
        server.shutdown()
