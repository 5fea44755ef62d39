"""The client over HTTP."""

from pathlib import Path
from typing import Self

from serving.client.client import CONNECTIONS, Client
from serving.client.endpoint import HTTP_PORT, Endpoint, endpoint_at, http_endpoint
from serving.client.http_management import HttpManagement
from serving.client.http_transport import HttpTransport
from serving.settings import ServerSettings


class HttpClient(Client):
    def __init__(
        self,
        server: ServerSettings | Endpoint,
        *,
        management: Endpoint | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Connect to the server that these settings describe, or to an endpoint anywhere.

        At most `connections` requests run at once; further threads wait for one.
        """
        if isinstance(server, ServerSettings):
            management = http_endpoint(server, "management")
            server = http_endpoint(server, "inference")
        management_endpoint = management
        super().__init__(
            HttpTransport(server, connections=connections),
            connect_management=None
            if management_endpoint is None
            else lambda: HttpManagement(management_endpoint),
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
        """Return a client of `http(s)://HOST[:8080]`; its token is `token`, the file's, or HEADSWAP_TOKEN's.

        Raises:
            AddressError: the address is not a server address. SettingsError: `ca_file` cannot be used.
        """
        endpoint = endpoint_at(
            address, default_port=HTTP_PORT, token=token, token_file=token_file, ca_file=ca_file
        )
        return cls(endpoint, management=management, connections=connections)
