"""What KubeRay's RayService deploys: `import_path: cluster.kuberay:build` in deploy/ray/rayservice.yaml.

The operator owns the ingress alone. The versions are applications that it does not know and leaves alone, so that
`headswap promote --cluster` can swap them; the archives of the manifest are what a new cluster begins with.
"""

import logging
from pathlib import Path

from pydantic import BaseModel
from ray import serve

from cluster import defaults
from cluster.application import ApplicationOptions, ingress_of, load_versions
from cluster.deployment import VersionOptions
from cluster.ingress.tokens import read_token_hashes
from cluster.live import LiveActor, start_live
from serving import stubs
from serving.archive.reader import Archive, read_archive
from serving.rollout.trust import Trust

logger = logging.getLogger(__name__)


class Arguments(BaseModel, extra="forbid"):
    """The `args` of the application in `serveConfigV2`; paths are those in the pods."""

    archives: list[Path]
    token_file: Path
    """The token of inference, from a Secret."""
    public_key: Path | None = None
    """Only archives signed with its private half may run."""
    replicas_min: int = 1
    replicas_max: int = 4
    gpus_per_replica: float = 0.0
    cpus_per_replica: float = defaults.REPLICA_CPUS


def build(arguments: Arguments) -> serve.Application:
    """Return the ingress, once every model of the archives has a live version; Serve runs this in a task of its own.

    A model that is live already keeps its version: what was promoted since outlives a change of the manifest.

    Raises:
        ArchiveError: an archive may not run here. VersionFailedError: one could not be loaded.
    """
    stubs.load("inference")
    versions = VersionOptions(
        replicas_min=arguments.replicas_min,
        replicas_max=max(arguments.replicas_min, arguments.replicas_max),
        cpus_per_replica=arguments.cpus_per_replica,
        gpus_per_replica=arguments.gpus_per_replica,
    )
    live = start_live()
    load_versions(live, _not_live(live, arguments), versions, report=logger.info)
    hashes = read_token_hashes(arguments.token_file)
    return ingress_of(ApplicationOptions(token_hashes=hashes, version=versions))


def _not_live(live: LiveActor, arguments: Arguments) -> list[Archive]:
    trust = Trust(public_key=arguments.public_key)
    archives = [trust.accept(read_archive(path)) for path in arguments.archives]
    return [archive for archive in archives if archive.name not in live.pointer().models]
