"""Options that several commands share: which server and store, which client, which archives to trust."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from serving.settings import ServerSettings, load_settings

if TYPE_CHECKING:
    from serving.client import Client
    from serving.rollout.session import ServerSession
    from serving.rollout.trust import Trust

Transport = Literal["http", "grpc"]
ArchivePath = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="ARCHIVE")]]
RunPath = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
ModelName = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="MODEL")]]
VersionNumber = Annotated[str, tyro.conf.arg(metavar="VERSION")]
PhotoPaths = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="PHOTO ...", help_behavior_hint="(required)")
]


def path_option(variable: str, default: str) -> Path:
    """Return a dataclass field: the environment variable where it is set, else `default`."""
    path: Path = field(default_factory=lambda: Path(os.environ.get(variable, default)))
    return path


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The server on this machine. The defaults fit a checkout of the project; containers set the variables instead."""

    config: Path = path_option("HEADSWAP_CONFIG", "config.properties")
    """TorchServe's settings: addresses, limits, tokens (or set HEADSWAP_CONFIG)."""
    model_store: Path = path_option("HEADSWAP_MODEL_STORE", "model_store")
    """Folder of the archives and of live.json, the record of what is live (or set HEADSWAP_MODEL_STORE)."""
    state: Path = path_option("HEADSWAP_STATE", ".headswap")
    """Folder of the running server: tokens, logs, temporary files (or set HEADSWAP_STATE)."""

    def settings(self, *, listen: str | None = None) -> ServerSettings:
        """Return the server's settings. Raises SettingsError where the configuration cannot be read."""
        return load_settings(
            config=self.config, model_store=self.model_store, state=self.state, listen=listen
        )

    def session(self) -> "ServerSession":
        """Return the clients of the server, to be closed; they connect when first used. Raises SettingsError."""
        from serving.rollout.session import ServerSession

        return ServerSession(self.settings())


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """A server on another machine, instead of the one on this machine."""

    address: str | None = None
    """Its address: http://HOST:8080, or https:// for TLS; with --transport grpc the address of its gRPC port."""
    token: str | None = None
    """Its token. Other users of this machine can see a command line: prefer HEADSWAP_TOKEN or --token-file."""
    token_file: Path | None = None
    """A file with its token, read again when the server rejects the token."""
    ca_file: Path | None = None
    """PEM certificates to trust instead of the system's, such as the server's own self-signed one."""

    def connect(self, server: ServerOptions, transport: Transport, *, connections: int) -> "Client":
        """Return a client of --address, or without one of the server on this machine.

        Raises:
            InputError: the options, or the files they name, cannot be used.
        """
        from serving.client import GrpcClient, HttpClient

        if self.address is None:
            settings = server.settings()
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


def _key_from_environment() -> Path | None:
    value = os.environ.get("HEADSWAP_REQUIRE_SIGNATURE")
    return Path(value) if value else None


@dataclass(frozen=True, kw_only=True)
class TrustOptions:
    """Which archives may run here."""

    allow_custom_handler: bool = False
    """Accept an archive whose code differs from this headswap's own. That code runs with the server's rights."""
    require_signature: Path | None = field(default_factory=_key_from_environment)
    """A public key; archives not signed with its private key are refused (or set HEADSWAP_REQUIRE_SIGNATURE)."""

    def trust(self) -> "Trust":
        from serving.rollout.trust import Trust

        return Trust(
            allow_custom_handler=self.allow_custom_handler, public_key=self.require_signature
        )
