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
        """Speak to the server of these settings, or to an endpoint anywhere."""
        # Here and not above: a verb that never speaks gRPC need not wait for its import.
        from serving.client.grpc_management import GrpcManagement
        from serving.client.grpc_transport import GrpcTransport

        if isinstance(server, ServerSettings):
            management = grpc_endpoint(server, "management")
            server = grpc_endpoint(server, "inference")
        chosen = management
        super().__init__(
            GrpcTransport(server),
            manage=None if chosen is None else lambda: GrpcManagement(chosen),
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
        """Return a client of `http(s)://HOST[:7070]`, with the token given, in the file, or in HEADSWAP_TOKEN."""
        endpoint = endpoint_at(
            address, default_port=GRPC_PORT, token=token, token_file=token_file, ca_file=ca_file
        )
        return cls(endpoint, management=management)
