"""What a transport does for a client: carry one question there and one answer back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from serving.client.endpoint import Endpoint

CONNECT_TIMEOUT_S = 5.0

Option = Literal["top_k", "explain", "class", "format", "x-correlation-id"]


@dataclass(frozen=True, kw_only=True)
class Request:
    model: str
    version: str | None = None
    """None: the live one."""
    photos: tuple[bytes, ...]
    """Several are answered as a list, in this order."""
    options: Mapping[Option, str] = field(default_factory=dict)


class Transport(Protocol):
    endpoint: Endpoint

    def ask(self, question: Request, *, timeout_s: float) -> bytes:
        """Return the body of the answer to one try; over gRPC an error may still stand in it.

        Raises:
            UnreachableError, DeadlineError: no answer came. RequestError: its status is an error.
        """

    def close(self) -> None:
        """Close the connections."""
