"""The versions of a cluster behind the interface of TorchServe's management API, which serving/rollout drives."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray import serve

from cluster.archives import archive_path
from cluster.defaults import REQUEST_TIMEOUT_S
from cluster.deployment import VersionOptions, deploy, undeploy
from cluster.errors import ClusterError
from cluster.live import LiveActor
from cluster.live_state import ROUTER_LEASE_S
from cluster.names import DEPLOYMENT, application_name
from cluster.pointer import ModelPointer
from serving.archive.reader import read_archive
from serving.client.management import LoadedVersion
from serving.errors import (
    ConflictError,
    DeadlineError,
    InputError,
    InternalServerError,
    NotFoundError,
)

# A router that does not answer counts as gone after ROUTER_LEASE_S; this is never reached unless routers answer slowly.
SWITCH_TIMEOUT_S = 3 * ROUTER_LEASE_S


class ClusterManagement:
    """Loads versions as Serve applications, and moves the pointer; each method returns once every router follows."""

    def __init__(self, live: LiveActor) -> None:
        self._live = live

    def models(self) -> list[str]:
        """Return the names of the models that have a version loaded."""
        return list(self._live.pointer().models)

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        """Return the loaded versions of a model by number; empty if there are none."""
        pointer = self._live.pointer().models.get(model)
        if pointer is None:
            return {}
        in_flight = self._live.totals()[2]
        applications = serve.status().applications
        workers = self._options(model).replicas_min
        return {
            version: LoadedVersion(
                version=version,
                min_workers=workers,
                # Process ids mean nothing here: replicas are on other machines.
                ready_pids=tuple(range(_running(applications, model, version))),
                pending_requests=in_flight.get((model, version), 0),
            )
            for version in pointer.loaded
        }

    def default_version(self, model: str) -> str:
        """Return the live version. Raises NotFoundError: the model has none."""
        return self._pointer(model).live

    def register(self, archive_name: str, *, workers: int) -> None:
        """Serve the archive of that name in this node's cache; the first version of a model becomes its live one.

        How many replicas it gets is the model's own option, not `workers`. Raises InternalServerError: it did not load.
        """
        archive = read_archive(archive_path(archive_name.removesuffix(".mar")))
        model, version = archive.name, archive.version
        pointer = self._live.pointer().models.get(model)
        if pointer is not None and version in pointer.loaded:
            raise ConflictError(f"{model} {version} is loaded already.", status=409)
        try:
            deploy(archive, self._options(model))
        except ClusterError as error:
            raise InternalServerError(str(error), status=500) from None
        loaded = pointer or ModelPointer(live=version, loaded=())
        self._switch(model, loaded.with_loaded(version))

    def scale(self, model: str, version: str, *, workers: int) -> None:
        """Refuse: Serve scales by the queue. Raises InputError."""
        raise InputError(
            f"{model} {version} scales by its queue; its bounds are those of headswap cluster serve."
        )

    def set_default(self, model: str, version: str) -> None:
        """Let requests that name no version go to this one, and to no candidate, from now on."""
        pointer = self._pointer(model)
        if version not in pointer.loaded:
            raise NotFoundError(f"{model} {version} is not loaded.", status=404)
        self._switch(model, replace(pointer.without_candidate(), live=version))

    def share(self, model: str, candidate: str, percent: float) -> None:
        """Let this share, 0..100, of the requests that name no version go to the candidate; 0: none."""
        pointer = self._pointer(model)
        shared = replace(pointer, candidate=candidate, percent=percent)
        self._switch(model, shared if percent else pointer.without_candidate())

    def unregister(self, model: str, version: str) -> None:
        """Unload a version, once every request that it accepted is answered.

        Raises:
            NotFoundError: it is not loaded. DeadlineError: it computes for too long, and stays loaded.
        """
        pointer = self._pointer(model)
        if version not in pointer.loaded:
            raise NotFoundError(f"{model} {version} is not loaded.", status=404)
        is_last = pointer.loaded == (version,)
        revision = self._live.change_model(model, None if is_last else pointer.without(version))
        if not self._live.switched(revision, (model, version), timeout_s=REQUEST_TIMEOUT_S):
            self._live.change_model(model, pointer)
            raise DeadlineError(
                f"{model} {version} has been computing for {REQUEST_TIMEOUT_S:.0f} s and was left loaded; try again "
                "later."
            )
        undeploy(model, version)

    def close(self) -> None:
        """Do nothing: the connection is Ray's."""

    def _switch(self, model: str, pointer: ModelPointer) -> None:
        revision = self._live.change_model(model, pointer)
        if not self._live.switched(revision, timeout_s=SWITCH_TIMEOUT_S):
            raise DeadlineError(
                f"a router of the cluster has not followed to {model} {pointer.live} within {SWITCH_TIMEOUT_S:.0f} s."
            )

    def _pointer(self, model: str) -> ModelPointer:
        pointer = self._live.pointer().models.get(model)
        if pointer is None:
            raise NotFoundError(f"no version of {model} is loaded.", status=404)
        return pointer

    def _options(self, model: str) -> VersionOptions:
        return VersionOptions(**self._live.read("options").get(model, {}))


def _running(applications: Mapping[str, Any], model: str, version: str) -> int:
    """Return how many replicas of the version can answer."""
    application = applications.get(application_name(model, version))
    if application is None:
        return 0
    states = application.deployments[DEPLOYMENT].replica_states
    return int(states.get("RUNNING", 0))
