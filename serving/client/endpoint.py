"""An address of a server, with the token and the TLS trust that a client needs for it."""

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
    """`http://host:port` or `https://host:port`, for gRPC too: the scheme says whether to use TLS."""
    token: TokenSource | None = None
    """None: requests carry no token."""
    tls: Tls | None = None
    """None: an https address is verified by the system's certificate authorities."""
    request_limit_bytes: int | None = None
    """The server's max_request_size; None where its settings are not known."""

    @property
    def target(self) -> str:
        """Return `host:port`, the form gRPC takes."""
        return urlsplit(self.address).netloc

    @property
    def is_tls(self) -> bool:
        return self.address.startswith("https://")

    @property
    def is_local(self) -> bool:
        return is_local(self.address)

    def call_with_token(self, send: Callable[[str | None], Result]) -> Result:
        """Return `send(token)`; if the server rejects the token, renew it and try once more.

        Raises:
            UnauthorisedError: the token was rejected and could not be renewed, or the new one was rejected too.
        """
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
    """Return `scheme://host:port` for `host`, `host:port` or a whole address as a user types it.

    Raises:
        AddressError: the text is not a server address.
    """
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address)
        port = parts.port or default_port
    except ValueError:
        parts, port = urlsplit(""), 0
    is_bare = parts.path in ("", "/") and not parts.query and not parts.username
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_bare:
        raise AddressError(
            f"{text!r} is not a server address; give http://HOST:PORT, or https://HOST:PORT if the server uses TLS."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def http_endpoint(settings: ServerSettings, kind: TokenKind) -> Endpoint:
    """Return the HTTP address of the server that these settings describe."""
    urls = {"inference": settings.inference_url, "management": settings.management_url}
    return _local(settings, kind, urls[kind])


def grpc_endpoint(settings: ServerSettings, kind: TokenKind) -> Endpoint:
    """Return the gRPC address of the server that these settings describe."""
    targets = {"inference": settings.grpc_target, "management": settings.grpc_management_target}
    scheme = "https" if settings.tls is not None else "http"
    return _local(settings, kind, f"{scheme}://{targets[kind]}")


def _local(settings: ServerSettings, kind: TokenKind, address: str) -> Endpoint:
    token = ServerToken(settings, kind) if settings.uses_tokens else None
    return Endpoint(
        address=address,
        token=token,
        tls=settings.tls,
        request_limit_bytes=settings.request_limit_bytes,
    )


def endpoint_at(
    address: str,
    *,
    default_port: int = HTTP_PORT,
    token: str | None = None,
    token_file: Path | str | None = None,
    ca_file: Path | str | None = None,
) -> Endpoint:
    """Return the endpoint of a server anywhere; its token is `token`, the file's, or HEADSWAP_TOKEN's, in that order.

    Raises:
        AddressError: the address is not a server address.
    """
    return Endpoint(
        address=parse_address(address, default_port=default_port),
        token=find_token(token, None if token_file is None else Path(token_file)),
        tls=None if ca_file is None else Tls(ca_file=Path(ca_file)),
    )
