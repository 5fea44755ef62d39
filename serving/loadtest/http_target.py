"""Plain HTTP requests for load: bytes made beforehand, kept connections, and of each answer only the status.

This leaves the cores to a server on the same machine: a client with `requests` costs about half a core.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

TIMEOUT_S = 60.0
# A server that is gone refuses thousands of connections a second.
RECONNECT_PAUSE_S = 0.05
BOUNDARY = "headswap"


@dataclass(frozen=True, kw_only=True)
class HttpTarget:
    """A URL that classifies photos, and how it wants them: as the body, or as a field of a form."""

    url: str
    """http://HOST:PORT/PATH"""
    token: str | None = None
    content_type: str = "application/octet-stream"
    """Of a photo that is the whole body."""
    form_field: str | None = None
    """Name of the form field that takes the photo; None sends it as the body."""

    def headers(self) -> dict[str, str]:
        """Return the headers of every request, without its length."""
        form = f"multipart/form-data; boundary={BOUNDARY}"
        headers = {"Content-Type": form if self.form_field else self.content_type}
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def body(self, photo: bytes) -> bytes:
        """Return the body that carries the photo."""
        if not self.form_field:
            return photo
        disposition = (
            f'Content-Disposition: form-data; name="{self.form_field}"; filename="photo.jpg"'
        )
        head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
        return head.encode("ascii") + photo + f"\r\n--{BOUNDARY}--\r\n".encode("ascii")

    def request(self, photo: bytes) -> bytes:
        """Return the whole request as it goes over the socket."""
        parts, body = urlsplit(self.url), self.body(photo)
        headers = {"Host": parts.netloc, **self.headers(), "Content-Length": str(len(body))}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"POST {parts.path} HTTP/1.1", *lines, "", ""])
        return head.encode("ascii") + body


class HttpConnection:
    """A kept connection; it is opened with the first request, and again after it broke."""

    def __init__(self, target: HttpTarget) -> None:
        parts = urlsplit(target.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def send(self, request: bytes) -> int | None:
        """Return the answer's HTTP status; None when the connection broke or nothing came within a minute."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._send(request)
        except (OSError, EOFError, TimeoutError, ValueError, LookupError):
            await self._close()
            await asyncio.sleep(RECONNECT_PAUSE_S)
            return None

    async def _send(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").lower().splitlines()
        headers = dict(line.split(":", 1) for line in lines if ":" in line)
        await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").strip() == "close":
            await self._close()
        return int(status_line.split()[1])

    async def _close(self) -> None:
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
