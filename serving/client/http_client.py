"""The client over HTTP."""

from pathlib import Path
from typing import Self

from serving.client.client import CONNECTIONS, Client
from serving.client.endpoint import HTTP_PORT, Endpoint, endpoint_at, http_endpoint
from serving.client.http_transport import HttpTransport
from serving.client.management import Management
from serving.settings import ServerSettings


class HttpClient(Client):
    def __init__(
        self,
        server: ServerSettings | Endpoint,
        *,
        management: Endpoint | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Speak to the server of these settings, or to an endpoint anywhere."""
        if isinstance(server, ServerSettings):
            management = http_endpoint(server, "management")
            server = http_endpoint(server, "inference")
        chosen = management
        super().__init__(
            HttpTransport(server, connections=connections),
            manage=None if chosen is None else lambda: Management(chosen),
        )

    @classmethod
    def to(
        cls,
        address: str,
        *,
        token: str | None = None,
        token_file: Path | str | None = None,
        ca_file: Path | str | None = None,
        management: Endpoint | None = None,
        connections: int = CONNECTIONS,
    ) -> Self:
        """Return a client of `http(s)://HOST[:8080]`, with the token given, in the file, or in HEADSWAP_TOKEN."""
        endpoint = endpoint_at(
            address, default_port=HTTP_PORT, token=token, token_file=token_file, ca_file=ca_file
        )
        return cls(endpoint, management=management, connections=connections)
