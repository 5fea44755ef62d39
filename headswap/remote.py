"""Flags that say which server is asked: the one on this machine, or one anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headswap.where import ServerOptions

if TYPE_CHECKING:
    from serving.client import Client

Transport = Literal["http", "grpc"]


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    address: str | None = None
    """A server elsewhere, as http://HOST:8080, or https:// where it speaks TLS; with --transport grpc its gRPC port."""
    token: str | None = None
    """Its token. Others on this machine see a command line: HEADSWAP_TOKEN or --token-file keep it from them."""
    token_file: Path | None = None
    """A file with its token, read again when the token is no longer taken."""
    ca_file: Path | None = None
    """PEM certificates to trust instead of the system's, such as the server's own self-made one."""

    def connect(self, where: ServerOptions, transport: Transport, *, connections: int) -> "Client":
        """Return a client of the address, or without one of the server that `where` describes.

        Raises:
            InputError, SettingsError: the flags, or the files they name, cannot be used.
        """
        from serving.client import GrpcClient, HttpClient

        if self.address is None:
            settings = where.settings()
            if transport == "grpc":
                return GrpcClient(settings)
            return HttpClient(settings, connections=connections)
        if transport == "grpc":
            return GrpcClient.to(
                self.address, token=self.token, token_file=self.token_file, ca_file=self.ca_file
            )
        return HttpClient.to(
            self.address,
            token=self.token,
            token_file=self.token_file,
            ca_file=self.ca_file,
            connections=connections,
        )
