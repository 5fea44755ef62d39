"""One of a server's addresses and what opens it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from serving.client.sessions import is_local
from serving.client.token_sources import ServerToken, TokenSource, find_token
from serving.client.tokens import TokenKind
from serving.errors import AddressError, UnauthorisedError
from serving.settings import ServerSettings
from serving.tls import Tls

HTTP_PORT, GRPC_PORT = 8080, 7070

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    address: str
    """`http://host:port` or `https://host:port`, for gRPC too: its scheme says whether TLS is spoken."""
    token: TokenSource | None = None
    tls: Tls | None = None
    """None: the system's authorities, where the address is https."""

    @property
    def target(self) -> str:
        """Return `host:port`, as gRPC wants it."""
        return urlsplit(self.address).netloc

    @property
    def is_tls(self) -> bool:
        return self.address.startswith("https://")

    @property
    def is_local(self) -> bool:
        return is_local(self.address)

    def authorised(self, send: Callable[[str | None], Result]) -> Result:
        """Return what `send` returns, given the token; once more with a new one where the old was refused."""
        if self.token is None:
            return send(None)
        token = self.token.read()
        try:
            return send(token)
        except UnauthorisedError:
            if not self.token.renew(token):
                raise
        return send(self.token.read())


def parse_address(text: str, *, default_port: int) -> str:
    """Return `scheme://host:port` of what a user wrote: `host`, `host:port` or a whole address.

    Raises:
        AddressError: it is none of these.
    """
    whole = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(whole)
        port = parts.port or default_port
    except ValueError:
        parts, port = urlsplit(""), 0
    is_bare = parts.path in ("", "/") and not parts.query and not parts.username
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_bare:
        raise AddressError(
            f"{text!r} is no address of a server; give http://HOST:PORT, or https://HOST:PORT where it speaks TLS."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def http_endpoint(settings: ServerSettings, kind: TokenKind) -> Endpoint:
    """Return where the server of these settings listens for HTTP."""
    urls = {"inference": settings.inference_url, "management": settings.management_url}
    return _local(settings, kind, urls[kind])


def grpc_endpoint(settings: ServerSettings, kind: TokenKind) -> Endpoint:
    """Return where the server of these settings listens for gRPC."""
    targets = {"inference": settings.grpc_target, "management": settings.grpc_management_target}
    scheme = "https" if settings.tls is not None else "http"
    return _local(settings, kind, f"{scheme}://{targets[kind]}")


def _local(settings: ServerSettings, kind: TokenKind, address: str) -> Endpoint:
    token = ServerToken(settings, kind) if settings.uses_tokens else None
    return Endpoint(address=address, token=token, tls=settings.tls)


def endpoint_at(
    address: str,
    *,
    default_port: int = HTTP_PORT,
    token: str | None = None,
    token_file: Path | str | None = None,
    ca_file: Path | str | None = None,
) -> Endpoint:
    """Return an endpoint anywhere; the token is the argument's, the file's, or HEADSWAP_TOKEN's.

    Raises:
        AddressError: the address is none.
    """
    return Endpoint(
        address=parse_address(address, default_port=default_port),
        token=find_token(token, None if token_file is None else Path(token_file)),
        tls=None if ca_file is None else Tls(ca_file=Path(ca_file)),
    )
