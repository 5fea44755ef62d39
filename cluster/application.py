"""The application of a cluster: Serve's proxies, the live actor, the first versions, and the ingress before them."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig

from cluster import defaults
from cluster.deployment import VersionOptions, deploy, is_deployed
from cluster.errors import ClusterAddressError, ClusterError, ClusterStateError
from cluster.ingress.ingress import Ingress
from cluster.live import LiveActor, start_live
from cluster.pointer import ModelPointer
from cluster.probe import wants_token
from cluster.ray_environment import environment_of_local_ray
from cluster.rollout.store import ClusterStore
from serving import stubs
from serving.archive.reader import Archive
from serving.rollout.live_record import Deployment, entry_of

GRPC_SERVICER = (
    "serving.stubs.generated.inference_pb2_grpc.add_InferenceAPIsServiceServicer_to_server"
)
LOCAL = "local"

# Of ray.init: its own lines are not for who runs a command.
QUIET: dict[str, Any] = {
    "namespace": defaults.NAMESPACE,
    "log_to_driver": False,
    "configure_logging": False,
}

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ApplicationOptions:
    """How the cluster listens and serves."""

    listen: str = defaults.LISTEN
    http_port: int = defaults.HTTP_PORT
    grpc_port: int = defaults.GRPC_PORT
    certificate: Path | None = None
    """PEM; on every node at the same path. For HTTP: Serve's gRPC has no TLS."""
    private_key: Path | None = None
    token_hashes: tuple[str, ...] = ()
    """Of the tokens that may classify; none: everybody may."""
    request_limit_bytes: int = defaults.REQUEST_LIMIT_BYTES
    ingress_replicas_max: int = defaults.INGRESS_REPLICAS_MAX
    version: VersionOptions = field(default_factory=VersionOptions)


@contextmanager
def connected(address: str, *, has_tls: bool = False) -> Iterator[None]:
    """Connect to the Ray cluster at the address within the block; `local` starts one on this machine and ends it.

    `has_tls` says that it is to serve https. Raises:
        ClusterAddressError: no cluster answers there. ClusterError: Ray does not start here.
    """
    log = logging.getLogger("ray.serve")
    log.setLevel(logging.WARNING)
    with environment_of_local_ray(has_tls=has_tls) if address == LOCAL else nullcontext():
        (_start_ray if address == LOCAL else _connect)(address)
        try:
            yield
        finally:
            # Serve's threads live on, and would say every 10 s, with a traceback, that Ray has ended.
            log.setLevel(logging.CRITICAL)
            ray.shutdown()


def _start_ray(address: str) -> None:
    try:
        # Ray protects its own ports, which listen on all interfaces, by a token in ~/.ray.
        ray.init(address=address, include_dashboard=False, **QUIET)
    except Exception as error:
        # Ray itself raises Exception where its processes do not start in time.
        raise ClusterError(
            f"Ray could not be started on this machine: {_shorten(error)} See /tmp/ray/session_latest/logs."
        ) from None


def _connect(address: str) -> None:
    if wants_token(address):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        ray.init(address=address, **QUIET)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise ClusterAddressError(
            f"no Ray cluster answers at {address!r} ({_shorten(error)}); give --address auto on one of its machines, "
            "ray://HOST:10001 from elsewhere, or none to start one here."
        ) from None


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def start(archives: Sequence[Archive], options: ApplicationOptions, *, report: Report) -> None:
    """Serve the archives, each the live version of its model; return once they answer.

    Raises:
        ClusterStateError: another version of one of the models is live. VersionFailedError: one could not be loaded.
    """
    stubs.load("inference")
    live = start_live()
    _check_live(live, archives)
    _start_proxies(options)
    load_versions(live, archives, options.version, report=report)
    _start_ingress(options)


def load_versions(
    live: LiveActor, archives: Sequence[Archive], options: VersionOptions, *, report: Report
) -> None:
    """Serve the archives and record each as the live version of its model. Raises VersionFailedError."""
    store = ClusterStore(live)
    with store.locked():
        for archive in map(store.install, archives):
            if not _is_served(live, archive, options):
                report(f"loading {archive.name} {archive.version} ...")
                deploy(archive, options)
            _record(live, store, archive, options)


def _check_live(live: LiveActor, archives: Sequence[Archive]) -> None:
    names = [archive.name for archive in archives]
    for archive in archives:
        pointer = live.pointer().models.get(archive.name)
        if names.count(archive.name) > 1:
            raise ClusterStateError(
                f"{archive.name} is given in more than one version; give the one to be live, and load others with "
                "headswap promote --cluster."
            )
        if pointer is not None and pointer.live != archive.version:
            raise ClusterStateError(
                f"{archive.name} {pointer.live} is live on this cluster; swap it with headswap promote --cluster "
                f"{archive.path}."
            )


def _is_served(live: LiveActor, archive: Archive, options: VersionOptions) -> bool:
    """Say whether the version is served like this already: deploying it again would only restart its replicas."""
    before = live.read("options").get(archive.name)
    return before == asdict(options) and is_deployed(archive.name, archive.version)


def _record(
    live: LiveActor, store: ClusterStore, archive: Archive, options: VersionOptions
) -> None:
    """Make the version live, in the record that promotions continue."""
    live.write("options", {**live.read("options"), archive.name: asdict(options)})
    if archive.name in live.pointer().models:
        return
    deployment = Deployment(live=entry_of(archive, why="headswap cluster serve"))
    store.write_record({**store.read_record(), archive.name: deployment})
    live.change_model(archive.name, ModelPointer(live=archive.version, loaded=(archive.version,)))


def _start_proxies(options: ApplicationOptions) -> None:
    http: dict[str, Any] = {
        "host": options.listen,
        "port": options.http_port,
        "keep_alive_timeout_s": defaults.KEEP_ALIVE_S,
    }
    if options.certificate is not None:
        http["ssl_certfile"] = str(options.certificate)
        http["ssl_keyfile"] = str(options.private_key)
    try:
        serve.start(
            proxy_location="EveryNode",
            http_options=http,
            grpc_options={"port": options.grpc_port, "grpc_servicer_functions": [GRPC_SERVICER]},
        )
    except (RayError, RuntimeError, ValueError) as error:
        # Ray's message holds a traceback, of which the last line says what happened.
        reason = str(error).strip().splitlines()[-1].rpartition("Error: ")[2].rstrip(".")
        if "listeners" in reason:
            # HAProxy's, which does not say which of its listeners it means.
            reason = "one of them is in use"
        raise ClusterStateError(
            f"a machine of the cluster cannot listen on ports {options.http_port} and {options.grpc_port}: "
            f"{reason}. Give another --http-port or --grpc-port, or end what listens there."
        ) from None


def _start_ingress(options: ApplicationOptions) -> None:
    serve.run(ingress_of(options), name=defaults.INGRESS_APPLICATION, route_prefix="/")


def ingress_of(options: ApplicationOptions) -> serve.Application:
    """Return the ingress as a Serve application."""
    deployment = serve.deployment(
        name="ingress",
        ray_actor_options={"num_cpus": defaults.INGRESS_CPUS},
        max_ongoing_requests=defaults.INGRESS_ONGOING_REQUESTS,
        **defaults.EVERY_DEPLOYMENT,
        autoscaling_config=AutoscalingConfig(
            min_replicas=defaults.INGRESS_REPLICAS_MIN,
            max_replicas=options.ingress_replicas_max,
            target_ongoing_requests=defaults.INGRESS_ONGOING_REQUESTS / 2,
            downscale_delay_s=defaults.DOWNSCALE_DELAY_S,
        ),
    )(Ingress)
    return deployment.bind(
        token_hashes=options.token_hashes,
        request_limit_bytes=options.request_limit_bytes,
        logs=options.version.logs,
    )


def stop() -> None:
    """End everything that `start` started: requests in flight are answered, new ones rejected."""
    serve.shutdown()
