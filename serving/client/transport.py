"""The interface of a transport: it sends one request and returns the body of the response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from serving.client.endpoint import Endpoint

CONNECT_TIMEOUT_S = 5.0

Option = Literal["top_k", "explain", "class", "format", "headswap_capture", "x-correlation-id"]


@dataclass(frozen=True, kw_only=True)
class Request:
    model: str
    version: str | None = None
    """None: the live version."""
    photos: tuple[bytes, ...]
    """Encoded images; several are sent under the names of `photo_names`."""
    options: Mapping[Option, str] = field(default_factory=dict)


def photo_names(count: int) -> list[str]:
    """Return the form fields or gRPC keys of several photos, which no option has and whose order is theirs."""
    return [f"{number:06}" for number in range(count)]


class Transport(Protocol):
    endpoint: Endpoint

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        """Send the request once and return the response body, which over gRPC may still hold an error.

        Raises:
            UnreachableError, DeadlineError: there was no response. RequestError: its status is an error.
        """

    def close(self) -> None:
        """Close the connections."""
