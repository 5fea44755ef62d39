"""Versions as Serve applications of their own: deployed, awaited, deleted."""

import time
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig

from cluster import defaults
from cluster.archives import give
from cluster.errors import VersionFailedError
from cluster.names import DEPLOYMENT, application_name
from cluster.replica import Replica
from cluster.replica_choice import FewestInFlight
from serving.archive.reader import Archive
from serving.archive.repack import read_model_config

POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class VersionOptions:
    """How a version is served; the same for its successors, so it is kept with the live record."""

    replicas_min: int = defaults.REPLICAS_MIN
    replicas_max: int = 1
    cpus_per_replica: float = defaults.REPLICA_CPUS
    gpus_per_replica: float = 0.0
    queued_requests: int = defaults.QUEUED_REQUESTS
    upscale_delay_s: float = defaults.UPSCALE_DELAY_S
    logs: str | None = None
    """Folder of requests.log on each node; None: Ray's own logs."""


def deploy(archive: Archive, options: VersionOptions) -> None:
    """Give the archive to the cluster and serve it next to what is served; return once a replica has loaded it.

    Raises:
        VersionFailedError: no replica could load it; it is deleted again.
    """
    give(archive)
    name = application_name(archive.name, archive.version)
    batch_size = int(read_model_config(archive.path).get("batchSize", 1))
    application = _deployment(options, batch_size).bind(archive.sha256, logs=options.logs)
    target = serve.RunTarget(application, name=name, route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)
    _wait(name, f"{archive.name} {archive.version}")


def count_places(*, gpus_per_replica: float) -> int:
    """Return how many replicas of a version the cluster can keep busy: one a core, or as many as its GPUs hold."""
    resources = ray.cluster_resources()
    if gpus_per_replica:
        return max(1, int(resources.get("GPU", 0) / gpus_per_replica))
    return max(1, int(resources.get("CPU", 1)))


def undeploy(model: str, version: str) -> None:
    """Delete the version's application: its replicas finish what they compute, and are gone when this returns."""
    serve.delete(application_name(model, version))


def is_deployed(model: str, version: str) -> bool:
    """Return whether the version is served."""
    application = serve.status().applications.get(application_name(model, version))
    return application is not None and application.status == "RUNNING"


def handle_of(model: str, version: str) -> Any:
    """Return the handle of the version's deployment, whose `respond` answers; its queue is bounded for this caller."""
    return serve.get_deployment_handle(DEPLOYMENT, application_name(model, version))


def _deployment(options: VersionOptions, batch_size: int) -> Any:
    """Return the deployment; a replica computes batches of the archive's size on a GPU, single requests on a CPU."""
    # Ray gives a process one thread for each whole CPU, at least one; handler.threads_per_worker overrides it.
    actor_options: dict[str, float] = {"num_cpus": options.cpus_per_replica}
    ongoing = defaults.REPLICA_ONGOING_REQUESTS
    target = defaults.TARGET_ONGOING_REQUESTS
    if options.gpus_per_replica:
        actor_options["num_gpus"] = options.gpus_per_replica
        target = max(1.0, batch_size * defaults.TARGET_ONGOING_REQUESTS)
        ongoing = max(ongoing, defaults.GPU_ONGOING_BATCHES * batch_size)
    return serve.deployment(
        name=DEPLOYMENT,
        ray_actor_options=actor_options,
        max_ongoing_requests=ongoing,
        max_queued_requests=options.queued_requests,
        request_router_config=RequestRouterConfig(request_router_class=FewestInFlight),
        **defaults.EVERY_DEPLOYMENT,
        autoscaling_config=AutoscalingConfig(
            min_replicas=options.replicas_min,
            initial_replicas=options.replicas_min,
            max_replicas=max(options.replicas_min, options.replicas_max),
            target_ongoing_requests=target,
            upscale_delay_s=options.upscale_delay_s,
            downscale_delay_s=defaults.DOWNSCALE_DELAY_S,
        ),
    )(Replica)


def _wait(name: str, what: str) -> None:
    deadline = time.monotonic() + defaults.LOAD_TIMEOUT_S
    while True:
        application = serve.status().applications.get(name)
        status = application.status if application else "NOT_STARTED"
        if status == "RUNNING":
            return
        if status in ("DEPLOY_FAILED", "UNHEALTHY") or time.monotonic() > deadline:
            reason = _reason(application) or f"not loaded after {defaults.LOAD_TIMEOUT_S:.0f} s"
            serve.delete(name)
            raise VersionFailedError(f"{what} could not be served: {reason}")
        time.sleep(POLL_S)


def _reason(application: Any) -> str:
    """Return the last error that a replica raised, which is the handler's own sentence; "" if it says nothing."""
    if application is None:
        return ""
    messages = [d.message for d in application.deployments.values()] + [application.message]
    lines = [line.strip() for text in messages for line in str(text).splitlines() if line.strip()]
    errors = [line.partition("Error: ")[2] for line in lines if "Error: " in line]
    return str((errors or lines or [""])[-1])
