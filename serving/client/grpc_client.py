"""The client over gRPC."""

from pathlib import Path
from typing import Self

from serving.client.client import Client
from serving.client.endpoint import GRPC_PORT, Endpoint, endpoint_at, grpc_endpoint
from serving.settings import ServerSettings


class GrpcClient(Client):
    def __init__(
        self, server: ServerSettings | Endpoint, *, management: Endpoint | None = None
    ) -> None:
        """Connect to the server that these settings describe, or to an endpoint anywhere."""
        # Imported here because a command that only uses HTTP should not wait for it.
        from serving.client.grpc_management import GrpcManagement
        from serving.client.grpc_transport import GrpcTransport

        if isinstance(server, ServerSettings):
            management = grpc_endpoint(server, "management")
            server = grpc_endpoint(server, "inference")
        management_endpoint = management
        super().__init__(
            GrpcTransport(server),
            connect_management=None
            if management_endpoint is None
            else lambda: GrpcManagement(management_endpoint),
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
    ) -> Self:
        """Return a client of `http(s)://HOST[:7070]`; its token is `token`, the file's, or HEADSWAP_TOKEN's.

        Raises:
            AddressError: the address is not a server address. SettingsError: `ca_file` cannot be used.
        """
        endpoint = endpoint_at(
            address, default_port=GRPC_PORT, token=token, token_file=token_file, ca_file=ca_file
        )
        return cls(endpoint, management=management)
