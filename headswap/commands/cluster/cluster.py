"""Serve archives with Ray, on this machine or on many, and end that.

Example:
    headswap cluster serve model_store/clothing-1.0.mar                    on this machine, until Ctrl-C
    headswap cluster serve model_store/clothing-1.0.mar --address auto     on the Ray cluster of this machine
    headswap cluster stop --address auto

The answers, the clients and the tokens are those of headswap serve; headswap promote, rollback, retire and status work
with --cluster ADDRESS. See headswap cluster serve --help.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from headswap.errors import ArgumentError
from headswap.options import TrustOptions
from headswap.output import stderr

if TYPE_CHECKING:
    from cluster.application import ApplicationOptions
    from cluster.deployment import VersionOptions

FOREVER_S = 3600.0

Archives = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="ARCHIVE ...", help_behavior_hint="")]
]


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Make archives live on a Ray cluster, one per model.

    Without --address Ray is started here and ends with the command; with it, the cluster goes on serving after the
    command has ended.
    """

    archives: Archives
    """Archives to make live, each of another model."""
    address: str | None = None
    """The Ray cluster: auto for the one this machine belongs to, ray://HOST:10001 for any other."""
    listen: str = "127.0.0.1"
    """Address on which every machine listens for HTTP, such as 0.0.0.0. gRPC listens on all of them."""
    http_port: int = 8080
    """Port of HTTP on every machine."""
    grpc_port: int = 7070
    """Port of gRPC on every machine."""
    certificate: Path | None = None
    """PEM certificate for https, on every machine at the same path. gRPC of Ray Serve has no TLS."""
    private_key: Path | None = None
    """PEM private key of --certificate."""
    token_file: Path = Path(".headswap/cluster/key_file.json")
    """File with the token that requests must carry; made with a new one if it does not exist."""
    no_tokens: bool = False
    """Answer requests without a token, behind a gateway that asks for one."""
    min_replicas: int = 1
    """Replicas of each version that always run."""
    max_replicas: int = 0
    """Replicas of each version that the queue may add up to; 0 for as many as the cluster has cores, or GPUs."""
    cpus_per_replica: float | None = None
    """What Ray reserves for a replica; by default a quarter of a core, so that versions share the cores."""
    gpus_per_replica: float = 0.0
    """1 for replicas that compute on a GPU each, 0.5 for two on each GPU."""
    logs: Path | None = None
    """Folder on every machine for requests.log and access.log; by default these lines are in Ray's own logs."""
    trust: TrustOptions = field(default_factory=TrustOptions)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """End what headswap serves on a Ray cluster; requests in flight are answered. The cluster itself goes on."""

    address: str = "auto"
    """The Ray cluster: auto for the one this machine belongs to, ray://HOST:10001 for any other."""


Command = (
    Annotated[Serve, tyro.conf.subcommand("serve")] | Annotated[Stop, tyro.conf.subcommand("stop")]
)


def run(command: Serve | Stop) -> int:
    try:
        from cluster import application
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"headswap cluster needs the package {error.name!r}: pip install 'headswap[host,ray]'."
        ) from None
    if isinstance(command, Stop):
        with application.connected(command.address):
            application.stop()
        return 0
    _check(command)
    return _serve(command, application)


def _serve(command: Serve, application: Any) -> int:
    from serving.archive.reader import read_archive

    trust = command.trust.trust()
    # Before Ray is started: what may not run here must not get there.
    archives = [trust.accept(read_archive(path)) for path in command.archives]
    address, has_tls = command.address or application.LOCAL, command.certificate is not None
    with application.connected(address, has_tls=has_tls), _interruptible():
        application.start(archives, _options(command), report=stderr.print)
        for archive in archives:
            stderr.print(
                f"{archive.name} {archive.version} answers on port {command.http_port} and gRPC "
                f"{command.grpc_port}; the token is in {command.token_file}"
            )
        if command.address is None:
            _wait_for_signal()
            stderr.print("draining")
            application.stop()
    if command.address is None:
        stderr.print("stopped")
    return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let TERM end the block as Ctrl-C does; inside, because Ray installs a handler of its own when it starts."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_signal() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(FOREVER_S)


def _options(command: Serve) -> "ApplicationOptions":
    from cluster.application import ApplicationOptions
    from cluster.ingress.tokens import make_tokens, read_token_hashes

    hashes: tuple[str, ...] = ()
    if not command.no_tokens:
        make_tokens(command.token_file)
        hashes = read_token_hashes(command.token_file)
    return ApplicationOptions(
        listen=command.listen,
        http_port=command.http_port,
        grpc_port=command.grpc_port,
        certificate=command.certificate and command.certificate.resolve(),
        private_key=command.private_key and command.private_key.resolve(),
        token_hashes=hashes,
        version=_version_options(command),
    )


def _version_options(command: Serve) -> "VersionOptions":
    from cluster import defaults
    from cluster.deployment import VersionOptions, count_places

    max_replicas = command.max_replicas or count_places(gpus_per_replica=command.gpus_per_replica)
    return VersionOptions(
        replicas_min=command.min_replicas,
        replicas_max=max(command.min_replicas, max_replicas),
        cpus_per_replica=command.cpus_per_replica or defaults.REPLICA_CPUS,
        gpus_per_replica=command.gpus_per_replica,
        logs=None if command.logs is None else str(command.logs.resolve()),
    )


def _check(command: Serve) -> None:
    if not command.archives:
        raise ArgumentError("no archive was given; name one, such as model_store/clothing-1.0.mar.")
    if (command.certificate is None) != (command.private_key is None):
        raise ArgumentError("TLS needs both --certificate and --private-key.")
    if command.min_replicas < 1:
        raise ArgumentError(f"--min-replicas must be 1 or more, not {command.min_replicas}.")
    if command.max_replicas and command.max_replicas < command.min_replicas:
        raise ArgumentError(
            f"--max-replicas must be 0 or at least --min-replicas, {command.min_replicas}, not {command.max_replicas}."
        )
    if command.gpus_per_replica < 0 or (command.cpus_per_replica or 1) <= 0:
        raise ArgumentError(
            "--cpus-per-replica must be above 0, and --gpus-per-replica not below it."
        )
