"""TorchServe's management API: what is loaded, register, switch, unregister."""

import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import requests

from serving.client.endpoint import Endpoint, http_endpoint
from serving.client.sessions import session_to
from serving.errors import RequestError, UnreachableError, request_error
from serving.settings import ServerSettings

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
# Loading waits for the workers: imports, weights, probes.
REGISTER_TIMEOUT_S = 180.0
PAGE_SIZE = 100
# TorchServe answers when the last worker has loaded, a few milliseconds before it describes that worker as ready.
SETTLE_TIMEOUT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A version TorchServe has loaded."""

    version: str
    min_workers: int
    ready_pids: tuple[int, ...]
    pending_requests: int


class Management:
    def __init__(self, server: ServerSettings | Endpoint) -> None:
        self._endpoint = (
            server if isinstance(server, Endpoint) else http_endpoint(server, "management")
        )
        self._session = session_to(self._endpoint.address, tls=self._endpoint.tls)

    def models(self) -> list[str]:
        """Return the names of the models that have a version loaded. Raises RequestError."""
        names: list[str] = []
        page: dict[str, str] | None = {"limit": str(PAGE_SIZE)}
        while page is not None:
            told = self._call("GET", "models", page)
            names += [str(one["modelName"]) for one in told["models"]]
            following = told.get("nextPageToken")
            page = {**page, "next_page_token": str(following)} if following else None
        return names

    def versions(self, model: str) -> dict[str, Loaded]:
        """Return the loaded versions of a model by number; empty when there is none. Raises RequestError."""
        try:
            told = self._call("GET", _path(model, "all"))
        except RequestError as error:
            if error.status == 404:
                return {}
            raise
        return {one["modelVersion"]: read_loaded(one) for one in told}

    def default_version(self, model: str) -> str:
        """Return the version requests without a version go to. Raises RequestError."""
        told = self._call("GET", _path(model))
        return str(told[0]["modelVersion"])

    def register(self, archive_name: str, *, workers: int) -> None:
        """Load an archive of the model store and return when all its workers are ready.

        Raises:
            RequestError: it could not be loaded; TorchServe has then removed it again.
        """
        self._call(
            "POST",
            "models",
            {"url": archive_name, "initial_workers": str(workers), "synchronous": "true"},
            timeout_s=REGISTER_TIMEOUT_S,
        )
        wait_for_workers(self, *model_and_version(archive_name))

    def scale(self, model: str, version: str, *, workers: int) -> None:
        """Give a version this many workers and return when they are ready. Fewer than it has kills workers.

        Raises:
            RequestError: no such version, or the workers did not start.
        """
        self._call(
            "PUT",
            _path(model, version),
            {"min_worker": str(workers), "max_worker": str(workers), "synchronous": "true"},
            timeout_s=REGISTER_TIMEOUT_S,
        )
        wait_for_workers(self, model, version)

    def set_default(self, model: str, version: str) -> None:
        """Send requests without a version to this one from now on. Raises RequestError."""
        self._call("PUT", _path(model, version, "set-default"))

    def unregister(self, model: str, version: str) -> None:
        """Unload a version. TorchServe kills its workers: nothing may be queued there. Raises RequestError."""
        self._call("DELETE", _path(model, version))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        *,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        return self._endpoint.authorised(
            lambda token: self._send(method, path, params, timeout_s, token)
        )

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        timeout_s: float,
        token: str | None,
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        url = f"{self._endpoint.address}/{path}"
        try:
            answer = self._session.request(
                method, url, params=params, headers=headers, timeout=(CONNECT_TIMEOUT_S, timeout_s)
            )
        except requests.RequestException as error:
            raise UnreachableError(
                f"the server's management address {self._endpoint.address} does not answer "
                f"({type(error).__name__}); is `headswap serve` running?"
            ) from None
        try:
            told = answer.json()
        except ValueError:
            told = {"message": answer.text.strip()[:300]}
        if answer.status_code >= 400:
            raise request_error(
                answer.status_code, str(told.get("type", "")), str(told.get("message", told))
            )
        return told


def _path(*words: str) -> str:
    return "/".join(["models", *(quote(word, safe="") for word in words)])


def read_loaded(told: dict[str, Any]) -> Loaded:
    """Return one of the versions that TorchServe describes."""
    return Loaded(
        version=told["modelVersion"],
        min_workers=int(told["minWorkers"]),
        ready_pids=tuple(int(one["pid"]) for one in told["workers"] if one["status"] == "READY"),
        pending_requests=int(told.get("jobQueueStatus", {}).get("pendingRequests", 0)),
    )


class _Describes(Protocol):
    def versions(self, model: str) -> dict[str, Loaded]: ...


def wait_for_workers(management: _Describes, model: str, version: str) -> None:
    """Return when the version is described with all its workers, or after a few seconds: whoever needs them checks."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        loaded = management.versions(model).get(version)
        if loaded is None or len(loaded.ready_pids) >= loaded.min_workers:
            return
        time.sleep(POLL_S)


def model_and_version(archive_name: str) -> tuple[str, str]:
    """Return both from NAME-VERSION.mar, as a model store has it; no version holds a hyphen."""
    model, _, version = archive_name.removesuffix(".mar").rpartition("-")
    return model, version
