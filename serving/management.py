"""TorchServe's management API: what is loaded, register, switch, unregister."""

from dataclasses import dataclass
from typing import Any

import requests

from serving import tokens
from serving.errors import RequestError, UnauthorisedError, UnreachableError, request_error
from serving.sessions import local_session
from serving.settings import ServerSettings

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
# Loading waits for the workers: imports, weights, probes.
REGISTER_TIMEOUT_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A version TorchServe has loaded."""

    version: str
    min_workers: int
    ready_pids: tuple[int, ...]
    pending_requests: int


class Management:
    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._session = local_session()

    def versions(self, model: str) -> dict[str, Loaded]:
        """Return the loaded versions of a model by number; empty when there is none. Raises RequestError."""
        try:
            told = self._call("GET", f"models/{model}/all")
        except RequestError as error:
            if error.status == 404:
                return {}
            raise
        return {one["modelVersion"]: _loaded(one) for one in told}

    def default_version(self, model: str) -> str:
        """Return the version requests without a version go to. Raises RequestError."""
        told = self._call("GET", f"models/{model}")
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

    def set_default(self, model: str, version: str) -> None:
        """Send requests without a version to this one from now on. Raises RequestError."""
        self._call("PUT", f"models/{model}/{version}/set-default")

    def unregister(self, model: str, version: str) -> None:
        """Unload a version. TorchServe kills its workers: nothing may be queued there. Raises RequestError."""
        self._call("DELETE", f"models/{model}/{version}")

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        *,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        try:
            return self._send(method, path, params, timeout_s)
        except UnauthorisedError:
            # The token was renewed between reading and sending; the second reading has the new one.
            return self._send(method, path, params, timeout_s)

    def _send(self, method: str, path: str, params: dict[str, str] | None, timeout_s: float) -> Any:
        headers = {}
        if self._settings.uses_tokens:
            token = tokens.read_token(self._settings.key_file, "management")
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self._settings.management_url}/{path}"
        try:
            answer = self._session.request(
                method, url, params=params, headers=headers, timeout=(CONNECT_TIMEOUT_S, timeout_s)
            )
        except requests.RequestException as error:
            raise UnreachableError(
                f"the server's management address {self._settings.management_url} does not answer "
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


def _loaded(told: dict[str, Any]) -> Loaded:
    return Loaded(
        version=told["modelVersion"],
        min_workers=int(told["minWorkers"]),
        ready_pids=tuple(int(one["pid"]) for one in told["workers"] if one["status"] == "READY"),
        pending_requests=int(told.get("jobQueueStatus", {}).get("pendingRequests", 0)),
    )
